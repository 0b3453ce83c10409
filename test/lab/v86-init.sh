#!/bin/busybox sh
# The first process of a lab in v86, read by busybox' shell. Lines of the second serial port name commands, and lines
# there say how they ended; the first port is the kernel's console.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

exec 3<>/dev/ttyS1
stty icanon -echo -opost -onlcr <&3

# The shell's echo is one write, so lines stay apart.
serve() {
  status=0
  sh -c "$(echo "$2" | base64 -d)" 3>&- </dev/null >/tmp/$1.out 2>/tmp/$1.err || status=$?
  echo "ended $1 $status $(base64 -w 0 </tmp/$1.out) $(base64 -w 0 </tmp/$1.err)" >&3
  rm /tmp/$1.out /tmp/$1.err
}

echo "ready $(uname -r)" >&3
while read -r id command <&3; do
  serve "$id" "$command" &
done
