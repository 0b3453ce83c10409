# The first process of a lab, read by bash. It sees the host's files, read-only, and puts file systems of its own over
# the places where programs write. Then it runs commands: lines of the channel name them, lines of the channel say how
# they ended. The end of the channel is the end of the lab.
#
# LAB_SHARE    a directory that host and lab both see, by the same path
# LAB_MOUNT    options of mount for it
# LAB_PROJECT  the project's directory
# LAB_CHANNEL  a pattern for the device that leads to the test
# LAB_MODULES  the directory that holds the kernel's modules, below its release
# LAB_PATH     the host's PATH
set -e
export PATH="$LAB_PATH:/usr/sbin:/usr/bin:/sbin:/bin" LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
# Some kernels have done it themselves.
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lab/project /run/lab/root/lib /run/lab/bin /run/lab/users

# The project may lie below /tmp, and the share does.
mount --bind "$LAB_PROJECT" /run/lab/project
mount -t tmpfs -o mode=1777 tmpfs /tmp
[ -e "$LAB_PROJECT" ] || mkdir -p "$LAB_PROJECT"
mount --move /run/lab/project "$LAB_PROJECT"
mkdir -p "$LAB_SHARE"
eval mount "$LAB_MOUNT" '"$LAB_SHARE"'

ln -s "$LAB_MODULES" /run/lab/root/lib/modules
ln -s "$LAB_PROJECT/bin/vmmctl.cjs" /run/lab/bin/vmmctl
PATH="/run/lab/bin:$PATH"
# Modules are loaded when a test asks for them, not when a program uses what they give.
echo >/proc/sys/kernel/modprobe
ip link set lo up

for channel in $LAB_CHANNEL; do
  exec 3<>"$channel"
done
# A read gives one line: more would stay in bash's buffer, and begin what its children read.
if [ -t 3 ]; then stty icanon -echo -opost <&3; fi

# Where a user's programs write, made at the user's first command.
make_places() {
  local places=/run/lab/users/$1
  [ -d "$places" ] && return
  mkdir -p "$places"/{home,run,state,config}
  chmod 700 "$places"/*
  chown -R "$1:$1" "$places"
}

# A command has a process group of its own. Each program that is run on the way to it takes user-mode Linux 50 ms.
serve() {
  local id=$1 user=$2 places=/run/lab/users/$2 as=() text status=0
  [ "$user" = 0 ] || as=(setpriv --reuid "$user" --regid "$user" --clear-groups)
  IFS= read -r -d '' text <"$LAB_SHARE/$id.command" || true
  set -m
  HOME=$places/home XDG_RUNTIME_DIR=$places/run XDG_STATE_HOME=$places/state XDG_CONFIG_HOME=$places/config \
    TMPDIR=/tmp "${as[@]}" bash -o pipefail -c "$text" \
    3>&- </dev/null >"$LAB_SHARE/$id.stdout" 2>"$LAB_SHARE/$id.stderr" &
  echo "started $id $!" >&3
  wait $! || status=$?
  echo "ended $id $status" >&3
}

cd "$LAB_PROJECT"
# A kernel hands words of its command line to its first process.
unset OLDPWD mem uml_dir umid
echo "ready $(uname -r)" >&3
while read -r verb number argument <&3; do
  case $verb in
    run)
      make_places "$argument"
      serve "$number" "$argument" &
      ;;
    # It may have ended just now.
    signal) kill -s "$argument" -- "-$number" 2>/dev/null || true ;;
    off) break ;;
  esac
done
echo o >/proc/sysrq-trigger
# The kernel must not lose its first process before it is off.
while :; do :; done
