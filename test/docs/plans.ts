/**
 * How those examples are run that can't run alone: with whom they talk, and how they end. An example without an entry
 * is run as it stands, and has to end with status 0.
 */

export interface Plan {
  /** Where else it is run, or why it can't be: it isn't run here. */
  elsewhere?: string;
  /** Command lines that are run before. */
  before?: readonly string[];
  /** Runs while the example does; the example is started when it says that it listens. */
  background?: string;
  /** Run when the example, which waits, says that it listens; PORT is the TCP port that it says. */
  client?: string;
  /** Run at once after the example was started, since it can't say when it listens. */
  patientClient?: string;
  /** What the client prints. */
  clientOut?: RegExp;
  stdin?: string;
  out?: RegExp;
  /** The example goes on for ever: it is ended after its client, or when it has printed this. */
  endless?: true | RegExp;
  /** What a file has in it at the end. */
  files?: Readonly<Record<string, string>>;
  /** A part that is run in another way: a TCP port that may be in use, a deadline. */
  instead?: readonly [text: string, by: string];
  /** Tools that a laptop may lack. */
  needs?: readonly string[];
  /** The directory it runs in, below the example's own. */
  directory?: 'runtime';
}

const ECHO = 'vmmctl --in web1 vsock listen 7000 --keep-open --exec cat';
const TALK = { background: ECHO, stdin: 'hello\n', out: /^hello$/m };
const ECHO_CLIENT = {
  client: 'echo hello | vmmctl vsock cat web1:7000',
  clientOut: /^hello$/,
  endless: true,
} as const;
const TCP_CLIENT = {
  client: 'echo hello | vmmctl vsock cat tcp:127.0.0.1:$PORT',
  clientOut: /^hello$/,
  endless: true,
  instead: ['8080', '0'],
} as const;
const HOST_LISTENS = { background: 'vmmctl vsock listen 5000 > got', files: { got: 'hello\n' } };
const TO_HOST = 'echo hello | vmmctl --in web1 vsock connect host 5000';
const JQ = { needs: ['jq'] };
const manyTimes = (line: string) => `for i in 1 2 3 4 5 6 7 8 9; do ${line}; done`;

export const PLANS: Readonly<Record<string, Plan>> = {
  'npm ci && npm run demo': { elsewhere: 'demo.test.ts runs it' },
  'npm ci && npm test': { elsewhere: 'it runs this' },
  'npm ci && npm install --global .': { elsewhere: 'it changes the machine' },

  'vmmctl create test1 --ephemeral -- make check': { out: /^checked test1$/m },
  "vmmctl create test1 --ephemeral -- sh -c 'echo $VMMCTL_VM $VMMCTL_CID'": { out: /^test1 \d+$/m },
  'vmmctl list': { out: /^web1 .*persistent/m },
  "vmmctl list --format '{{.name}} {{.cid}}'": { out: /^web1 3$/m },
  'vmmctl list --watch --label tier=web': { endless: /web1/ },
  "vmmctl list --json | jq --raw-output '.[].name'": { ...JQ, out: /^web1$/m },
  'vmmctl list --json | jq --raw-output \'.[] | select(.labels.tier == "web").name\'': {
    ...JQ,
    out: /^web1$/m,
  },
  "vmmctl inspect web1 --json | jq --raw-output '.[0].exports[0].path'": {
    ...JQ,
    out: /web1\.vsock$/m,
  },
  "vmmctl inspect web1 web2 --json | jq '.[].counters.packetsFromGuest'": { ...JQ, out: /^0\n0$/m },
  "vmmctl --in web1 host-version --json | jq '.nodes'": { ...JQ, out: /"\/dev\/vsock"/ },
  'vmmctl doctor': { out: /^ {2}koffi +ok/m },
  // Which nodes there are is not for a test to decide.
  'vmmctl doctor --strict --quiet /dev/kvm /dev/vhost-vsock': {
    instead: ['/dev/kvm /dev/vhost-vsock', 'vmmctl'],
    out: /^koffi$/m,
  },
  'vmmctl doctor --json | jq --raw-output \'.checks[] | select(.state != "ok").name\'': JQ,
  'vmmctl --in web1 doctor': { out: /local CID 3/ },
  'vmmctl --backend device host-version': { out: /^product/m },
  'cid=$(vmmctl create test1 --json | jq .cid)': JQ,

  'vmmctl boot web1': { elsewhere: 'test/lab/real-guest.test.ts has a terminal for it' },
  "vmmctl boot web1 --uml --init 'socat VSOCK-LISTEN:7000,fork EXEC:cat'": {
    elsewhere: 'test/lab/real-guest.test.ts talks to it',
  },
  "vmmctl boot web1 --uml --quiet --init 'uname -r'": {
    elsewhere: 'test/lab/real-guest.test.ts boots it',
  },
  'vmmctl boot web1 --uml --dry-run': { needs: ['linux.uml'], out: /linux\.uml .*web1/ },

  'vmmctl run web1 --program hello.exits': {
    before: ["printf 'out 0x3f8 1 0x41\\nhlt\\n' > hello.exits"],
    out: /^ +1 +0 {2}INOUT .*\n +2 +0 {2}HLT /m,
  },
  'vmmctl run web1 --program ipi.exits --compare 13,15': {
    before: ["echo 'ipi fixed 0x20 0,63,256' > ipi.exits"],
    out: /13: cpus 0,63; 15: cpus 0,63,256 \(dropped by 13: 256, above 255\)/,
  },
  "echo 'ipi fixed 0x20 0,63,256' | vmmctl run web1 --program - --count 1": {
    out: /IPI .*cpus=0,63,256$/m,
  },
  "echo 'ipi fixed 0x20 0,63,256' | vmmctl run web1 --program - --count 1 --cpuset-size 8": {
    out: /IPI .*cpus=0,63$/m,
  },
  "echo 'ipi fixed 0x20 0,63,256' | vmmctl run web1 --program - --compare 13,15": {
    out: /dropped by 13: 256/,
  },
  "echo 'in 0x60 1' | vmmctl run web1 --program - --input 0x60=0x1e --count 1": { out: /INOUT/ },
  'vmmctl run web1 --program hello.exits --json | jq \'select(.exit == "INOUT").port\'': {
    ...JQ,
    before: ["printf 'out 0x3f8 1 0x41\\nhlt\\n' > hello.exits"],
    out: /^1016$/m,
  },
  'vmmctl stats web1': {
    before: ['echo hlt | vmmctl run web1 --program -'],
    out: /^ +0 +1 {2}total number of vm exits$/m,
  },
  'vmmctl stats web1 --vcpu 0 --json | jq \'.[0].counters["total number of vm exits"]\'': {
    ...JQ,
    before: ['echo hlt | vmmctl run web1 --program -'],
    out: /^"1"$/m,
  },
  'vmmctl suspend web1': { before: ['echo hlt | vmmctl run web1 --program -'] },
  'vmmctl suspend web1 --vcpu 0': { before: ['echo hlt | vmmctl run web1 --program -'] },
  'vmmctl resume web1': {
    before: ['echo hlt | vmmctl run web1 --program -', 'vmmctl suspend web1'],
  },
  'vmmctl resume web1 --vcpu 0': {
    before: ['echo hlt | vmmctl run web1 --program -', 'vmmctl suspend web1'],
  },
  'vmmctl poweroff web1 web2 --json': { out: /^{"poweredOff":\["web1","web2"\]}$/m },
  'vmmctl run web1 --backend device --image boot.bin --at 0x1000 --timeout 2s': {
    elsewhere: 'test/e2e/kvm.test.ts has an image for it',
  },
  'vmmctl -b device create web1 --memory 16M': { elsewhere: 'test/e2e/kvm.test.ts runs it' },
  'vmmctl -b device run web1 --image hello.bin': { elsewhere: 'test/e2e/kvm.test.ts runs it' },
  'vmmctl -b device destroy web1': { elsewhere: 'test/e2e/kvm.test.ts runs it' },
  'vmmctl list --columns name,state,reason': {
    before: ['vmmctl poweroff web1'],
    out: /^web1 +suspended +poweroff$/m,
  },
  "vmmctl inspect web1 --vcpu 0 --json | jq '.[0].vcpus[0].registers.rip'": { ...JQ, out: /^"/m },
  'vmmctl balloon': { out: /^web1 +512M +0 +0 /m },
  "vmmctl balloon web1 --json | jq '.[].actual'": { ...JQ, out: /^0$/m },
  'vmmctl --in web1 balloon': { out: /^- +- +- +0 /m },
  'vmmctl balloon watch web1 web2': { endless: /Z {2}web2/ },
  'vmmctl balloon watch web1 --interval 500ms --count 10 --json': { out: /^\[{"vm":"web1"/ },
  'vmmctl balloon set web1 128M --wait || echo too little': {
    before: ['vmmctl sim fault web1 balloon-refuse'],
    out: /^too little$/m,
  },
  'vmmctl heartbeat': { out: /^web1 +beating/m },
  'vmmctl heartbeat watch': { endless: /Z {2}web1 {2}beating/ },
  'vmmctl heartbeat watch web1 --interval 500ms --count 10 --json': { out: /^\[{"vm":"web1"/ },
  'vmmctl heartbeat web1 --check --quiet || echo restart it': { out: /^web1$/m },
  'vmmctl sim fault --list': { out: /^heartbeat-stop /m },
  'vmmctl sim export web1 --vhost-user vsock': { out: /web1\.vhost-vsock$/m },
  'vmmctl sim export web1 --cuse': { elsewhere: 'test/lab/cuse.test.ts has the kernel for it' },
  'vmmctl sim export --host --cuse': { elsewhere: 'test/lab/cuse.test.ts has the kernel for it' },
  'vmmctl sim export web1 --unix': { out: /web1\.vsock$/m },

  'vmmctl vsock connect web1 7000': TALK,
  'vmmctl vsock connect web1 7000 --retry 10s': TALK,
  'vmmctl vsock cat web1:7000': TALK,
  'echo hello | vmmctl vsock cat web1:7000': { background: ECHO, out: /^hello$/m },
  'vmmctl vsock cat file:report.txt web1:7000 --progress': { background: ECHO },
  'vmmctl --in web1 vsock connect host 5000 < report.txt': HOST_LISTENS,
  'echo hello | vmmctl --in web1 vsock connect host 5000': HOST_LISTENS,
  'vmmctl vsock listen 5000 > report.txt': {
    client: 'echo new | vmmctl --in web1 vsock connect host 5000',
    files: { 'report.txt': 'new\n' },
  },
  [ECHO]: ECHO_CLIENT,
  "vmmctl vsock listen 5000 --exec 'echo CID $VSOCK_PEER_CID'": {
    client: 'vmmctl --in web1 vsock connect host 5000',
    clientOut: /^CID 3$/,
  },
  'vmmctl vsock cat tcp-listen:8080 web1:7000 --fork': { ...TCP_CLIENT, background: ECHO },
  'vmmctl vsock cat tcp-listen:8080 web1:80 --fork': {
    ...TCP_CLIENT,
    background: 'vmmctl --in web1 vsock listen 80 --keep-open --exec cat',
  },
  'vmmctl vsock cat unix-listen:echo.sock web1:7000 --fork': {
    background: ECHO,
    client: 'echo hello | vmmctl vsock cat unix:echo.sock',
    clientOut: /^hello$/,
    endless: true,
  },
  "vmmctl vsock cat vsock-listen:5000 exec:'tar -xf -'": {
    client: 'cd docs && tar -cf - page | vmmctl --in web1 vsock cat - host:5000',
    files: { page: 'text\n' },
    needs: ['tar'],
  },
  'tar -cf - docs | vmmctl --in web1 vsock cat - host:5000': {
    background: 'vmmctl vsock listen 5000 | tar -xOf - docs/page > got',
    files: { got: 'text\n' },
    needs: ['tar'],
  },
  // ssh is a stand-in that runs the command for %h as ssh does, and says hello to what it finds there.
  "ssh -o ProxyCommand='vmmctl vsock cat %h:22' web1": {
    background: 'vmmctl --in web1 vsock listen 22 --keep-open --exec cat',
    out: /^SSH-2\.0-/m,
  },
  'vmmctl vsock ping local 5000': {
    background: 'vmmctl vsock listen 5000 --keep-open',
    out: /^4 of 4 open/m,
  },
  'vmmctl vsock capture --vm web1': {
    client: 'vmmctl vsock ping web1 7000 --count 1 || true',
    endless: /REQUEST/,
  },
  'vmmctl vsock capture --port 7000 --count 100 --write web1.pcap': {
    client: 'vmmctl vsock ping web1 7000 --count 50 --interval 0s || true',
  },
  'vmmctl vsock capture --count 10 --write - | tshark -r -': {
    needs: ['tshark'],
    client: 'vmmctl vsock ping web1 7000 --count 5 --interval 0s || true',
    out: /\[Connect\]/,
  },
  'vmmctl vsock capture --quiet --write - | wireshark -k -i -': { elsewhere: 'it needs a display' },
  'vmmctl vsock capture --vm web1 --json | jq \'select(.op == "REQUEST").dst.port\'': {
    elsewhere: 'it does not say when it listens; test/e2e/capture.test.ts reads this JSON',
  },
  'vmmctl vsock ping web1 7000': { background: ECHO, out: /^4 of 4 open/m },
  'vmmctl vsock ping web1 7000 --count 1 --timeout 500ms --quiet': { background: ECHO },
  'vmmctl vsock ping web1 7000 -c 100 -i 0s --json | jq .minMs': { ...JQ, background: ECHO },
  'vmmctl vsock perf web1 7000': {
    background: ECHO,
    instead: ['web1 7000', 'web1 7000 --for 200ms'],
    out: /^sent [\d.]+[KMG]? in [\d.]+ s, .*\/s\nreceived /m,
  },
  'vmmctl vsock perf web1 7000 --size 1G --json | jq .sentPerSecond': {
    ...JQ,
    background: ECHO,
    instead: ['1G', '10M'],
    out: /^\d+$/m,
  },
  'vmmctl --in web1 vsock listen 7000 --keep-open > /dev/null < /dev/null': {
    client: 'vmmctl vsock perf web1 7000 --size 10M',
    clientOut: /^sent 10\.0M in /,
    endless: true,
  },
  'DEBUG=vmmctl:* vmmctl vsock ping web1 7000 --count 1': { background: ECHO },
  "vmmctl --in web1 vsock list --json | jq '.[].local.port'": {
    ...JQ,
    background: ECHO,
    out: /^7000$/m,
  },

  'vmmctl --in web1 events wait': {
    before: ['vmmctl events raise web1 restored'],
    out: /^restored$/m,
  },
  'vmmctl --in web1 events wait --mask display-change-request,vrdp --timeout 1m': {
    before: ['vmmctl events raise web1 vrdp'],
    out: /^vrdp$/m,
  },
  'vmmctl guestprop get --vm web1 /VirtualBox/GuestAdd/Version': { out: /^\d+\.\d+/ },
  'vmmctl --in web1 guestprop get /VirtualBox/HostInfo/VBoxVer': { out: /^\d+\.\d+/ },
  'vmmctl --in web1 guestprop get /config/role': {
    before: ['vmmctl guestprop set --vm web1 /config/role primary'],
    out: /^primary$/m,
  },
  'vmmctl guestprop list --vm web1': { out: /\/VirtualBox\/GuestAdd\/Version/ },
  "vmmctl --in web1 guestprop list '/VirtualBox/HostInfo/*'": { out: /HostInfo\/VBoxVer/ },
  "vmmctl guestprop list --vm web1 '/VirtualBox/GuestInfo/Net/*'": { out: /Net\/Count/ },
  // Only a change after the beginning counts, and nobody can tell when that is.
  "vmmctl guestprop wait --vm web1 '/status/*'": {
    patientClient: manyTimes('vmmctl --in web1 guestprop set /status/phase ready'),
    out: /^set {2}\/status\/phase {2}ready$/m,
  },
  "vmmctl --in web1 guestprop wait '/config/*' --count 2 --timeout 10s": {
    patientClient: manyTimes('vmmctl guestprop set --vm web1 /config/role primary'),
    out: /^(set {2}\/config\/role {2}primary\n){2}$/,
  },
  'vmmctl guestprop list --vm web1 --json | jq --raw-output \'.[] | .name + " " + .value\'': {
    ...JQ,
    out: /^\/VirtualBox\/GuestAdd\/Version \d/m,
  },
  "vmmctl --in web1 hgcm call VmmctlEcho 1 in:@report.txt out:6 --json | jq '.parameters[1].size'":
    {
      ...JQ,
      out: /^6$/m,
    },
  'vmmctl --in web1 hgcm call VmmctlEcho 1 in:hello out:16': { out: /^out +16 {2}hello$/m },

  'vmmctl vmci id': { out: /^2$/m },
  'vmmctl --in web1 vmci id': { out: /^3$/m },
  'vmmctl vmci send web1:500 --data hello': {
    background: 'vmmctl --in web1 vmci receive 500 > got',
    files: { got: 'hello' },
  },
  'echo hello | vmmctl --in web1 vmci send host:5000 --from 501': {
    background: 'vmmctl vmci receive 5000 > got',
    files: { got: 'hello\n' },
  },
  'vmmctl --in web1 vmci receive 500': {
    client: 'vmmctl vmci send web1:500 --data hello',
    out: /^hello$/,
  },
  // With JSON nothing says when it listens, so the sender is refused until then.
  'vmmctl vmci receive 5000 --count 2 --json': {
    patientClient:
      'n=0; until [ $n = 2 ]; do vmmctl --in web1 vmci send host:5000 --data hello && n=$((n + 1)); done',
    out: /^({"src":"3:\d+","dst":"2:5000","size":5,.*"text":"hello"}\n){2}$/,
  },
  'vmmctl vmci doorbell ring web1:2000': {
    background: 'vmmctl --in web1 vmci doorbell wait 2000 > got',
    files: { got: '3:2000\n' },
  },
  'vmmctl --in web1 vmci doorbell ring host:2001': {
    background: 'vmmctl vmci doorbell wait 2001 > got',
    files: { got: '2:2001\n' },
  },
  'vmmctl --in web1 vmci doorbell wait 2000': {
    client: 'vmmctl vmci doorbell ring web1:2000',
    out: /^3:2000$/m,
  },
  'vmmctl vmci doorbell wait 2001 --timeout 1m': {
    client: 'vmmctl --in web1 vmci doorbell ring host:2001',
    out: /^2:2001$/m,
  },
  'vmmctl vmci receive 500 --context 40': {
    client: 'vmmctl vmci send 40:500 --data hello',
    out: /^hello$/,
  },
  'vmmctl vmci send 40:500 --data hello': {
    background: 'vmmctl vmci receive 500 --context 40 > got',
    files: { got: 'hello' },
  },
  'tar -cf - docs | vmmctl vmci queue create 4M': {
    client:
      "vmmctl --in web1 vmci queue attach $(vmmctl vmci queue list --no-header | cut -d' ' -f1) | tar -xOf - docs/page",
    clientOut: /^text$/,
    needs: ['tar'],
  },
  'tar -cf - docs | vmmctl vmci queue create 4M --handle host:2000': {
    client: 'vmmctl --in web1 vmci queue attach host:2000 | tar -xOf - docs/page',
    clientOut: /^text$/,
    needs: ['tar'],
  },
  'vmmctl --in web1 vmci queue attach host:2000 | tar -xf -': {
    background: 'tar -cf - docs | vmmctl vmci queue create 4M --handle host:2000',
    needs: ['tar'],
  },
  'vmmctl --in web1 vmci queue attach host:1024 | tar -xf -': {
    background: 'tar -cf - docs | vmmctl vmci queue create 4M --handle host:1024',
    needs: ['tar'],
  },
  'vmmctl --in web1 vmci queue create 64K --peer host --handle web1:2000 < report.txt': {
    client: 'vmmctl vmci queue attach web1:2000',
    clientOut: /^hello$/,
  },
  'vmmctl vmci queue attach web1:2000 > report.txt': {
    background: 'echo new | vmmctl --in web1 vmci queue create 64K --handle web1:2000',
    files: { 'report.txt': 'new\n' },
  },
  'vmmctl vmci queue list': { out: /^HANDLE +STATE/m },
  "vmmctl vmci queue list --json | jq --raw-output '.[].handle'": JQ,
  'vmmctl vmci events': { client: 'vmmctl vmci id', endless: true },
  'vmmctl --in web1 vmci events --count 2 --json': {
    elsewhere: 'test/e2e/vmci.test.ts has the queue pairs for it',
  },

  '(echo CONNECT 7000; echo hello) | socat -t 2 - UNIX-CONNECT:"$XDG_RUNTIME_DIR/vmmctl/default/web1.vsock"':
    { background: ECHO, out: /^OK \d+\nhello$/m, needs: ['socat'] },
  '(echo CONNECT 7000; echo hello) | socat -t 2 - UNIX-CONNECT:web1.vsock': {
    background: ECHO,
    out: /^OK \d+\nhello$/m,
    needs: ['socat'],
    directory: 'runtime',
  },
  'socat UNIX-LISTEN:web1.vsock_5000 -': {
    patientClient: `${TO_HOST} --retry 10s`,
    out: /^hello$/m,
    needs: ['socat'],
    directory: 'runtime',
  },

  'vmmctl sim start --profile linux-6.1': { before: ['vmmctl sim stop'] },
  'vmmctl sim status --quiet': { out: /^running$/m },
  'vmmctl sim status --json | jq .pid': { ...JQ, out: /^\d+$/m },
  'vmmctl sim log --follow': { endless: /started/ },
  'vmmctl config get backend': { out: /^sim$/m },
  'vmmctl completion zsh > ~/.zsh/completions/_vmmctl': { before: ['mkdir -p ~/.zsh/completions'] },
  'vmmctl completion fish > ~/.config/fish/completions/vmmctl.fish': {
    before: ['mkdir -p ~/.config/fish/completions'],
  },
  'vmmctl help exit-codes': { out: /ECONNREFUSED/ },
  // A machine that is busy may need longer than somebody who types waits.
  'vmmctl __complete vms': { instead: ['vms', 'vms --timeout 1m'], out: /^web1$/m },
};
