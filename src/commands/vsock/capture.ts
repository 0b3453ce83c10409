/** `vmmctl vsock capture`: packets as a pcap file, or as lines. */
import { notInTime, VmmctlCommand } from '../../cli/command.js';
import { CodeError, UsageError } from '../../cli/errors.js';
import { option, optionOr } from '../../cli/flags.js';
import { formatSize, parseInteger, parseSize } from '../../cli/parse.js';
import { renderJson } from '../../cli/view/json.js';
import { MAXIMUM_SNAPLEN } from '../../core/abi/pcap.js';
import { VSOCKMON_VIRTIO_HEADERS } from '../../core/abi/vsockmon.js';
import type { TapBatch } from '../../core/backend/port/vsock.js';
import type { MachineName } from '../../core/backend/port.js';
import { vmName, withNearNames } from '../vm-name.js';
import { type CaptureOutput, LineOutput, PcapFile, PcapStream } from './capture-output.js';
import { vsockPort } from './words.js';

export default class VsockCapture extends VmmctlCommand<typeof VsockCapture> {
  static override summary = 'capture vsock packets';
  static override description =
    'Prints a line for each packet that passes between the host and its guests; with --write it is kept in a pcap\n' +
    'file, which Wireshark and tshark read while it grows. Goes on until it is interrupted, and says on stderr\n' +
    'when it listens and how many packets there were. A capture that is too slow loses packets, and delays nobody.';
  static override examples = [
    { description: 'What passes to and from a VM', command: 'vmmctl vsock capture --vm web1' },
    {
      description: 'The first 100 packets of a port into a file',
      command: 'vmmctl vsock capture --port 7000 --count 100 --write web1.pcap',
    },
  ];
  static override guestView = true;
  static override flags = {
    write: option({
      char: 'w',
      summary: 'write a pcap file; - is standard output',
      helpValue: 'FILE',
    }),
    vm: option({ summary: 'only packets from and to that VM', helpValue: 'VM', convert: vmName }),
    port: option({
      summary: 'only packets from and to that port',
      helpValue: 'PORT',
      convert: vsockPort,
    }),
    count: optionOr('0', {
      char: 'c',
      summary: 'end after so many packets; 0 is without end',
      helpValue: 'N',
      convert: parseInteger(0, Number.MAX_SAFE_INTEGER),
    }),
    snaplen: optionOr(formatSize(MAXIMUM_SNAPLEN), {
      char: 's',
      summary: 'with --write, keep so many bytes of a packet, 76 of headers included',
      helpValue: 'SIZE',
      convert: frameSize,
    }),
  };

  #captured = 0;
  #lost = 0;

  async run(): Promise<void> {
    const ms = this.timeoutMs;
    const limit = ms === undefined ? undefined : AbortSignal.timeout(ms);
    const batches = await this.#tap(limit ? AbortSignal.any([this.signal, limit]) : this.signal);
    const output = await this.#output();
    try {
      await this.#copy(batches, output);
    } finally {
      await output.close();
    }
    this.#tellEnd();
    const isLate = limit?.aborted && !this.signal.aborted && this.#captured < this.#most;
    if (isLate && ms !== undefined) throw notInTime(ms);
  }

  /** Packets that are wanted. */
  get #most(): number {
    return this.flags.count === 0 ? Number.POSITIVE_INFINITY : this.flags.count;
  }

  async #tap(signal: AbortSignal): Promise<AsyncIterable<TapBatch>> {
    const backend = await this.backend();
    const machine = backend.machine(this.#whose());
    if (machine.tap === undefined) {
      throw new CodeError('EOPNOTSUPP', `the backend '${backend.uri}' can't capture packets`);
    }
    const { port, snaplen, write } = this.flags;
    // Lines have nothing of the payload.
    const snapLength = write === undefined ? VSOCKMON_VIRTIO_HEADERS : snaplen;
    return machine.tap({ signal, port, snapLength });
  }

  /** For a VM it is the same whether the host looks at it, or the guest itself. */
  #whose(): MachineName {
    const { vm } = this.flags;
    if (vm === undefined) return this.machine;
    const inside = this.machine;
    if (inside === 'host' || inside.vm === vm) return { vm };
    throw new UsageError('--vm and --in name two VMs', 'a guest sees its own packets only');
  }

  async #output(): Promise<CaptureOutput> {
    const { write, snaplen, json } = this.flags;
    const { stdout, isTty } = this.io;
    if (write !== undefined && write !== '-') return PcapFile.create(write, snaplen);
    this.endWithReader();
    if (write === undefined) return new LineOutput(stdout, json);
    if (isTty.stdout) {
      throw new UsageError(
        'standard output is a terminal, and a pcap file is not for reading',
        'leave --write out, or name a file',
      );
    }
    return PcapStream.begin(stdout, snaplen);
  }

  async #copy(batches: AsyncIterable<TapBatch>, output: CaptureOutput): Promise<void> {
    const most = this.#most;
    let listening = false;
    try {
      for await (const { packets, lost } of batches) {
        if (!listening) this.#tellStart();
        listening = true;
        const wanted = packets.slice(0, most - this.#captured);
        await output.write(wanted);
        this.#captured += wanted.length;
        this.#lost = lost;
        if (this.#captured >= most) break;
      }
    } catch (error) {
      const { vm } = this.flags;
      throw vm === undefined ? error : await withNearNames(error, await this.backend(), vm);
    }
  }

  #tellStart(): void {
    const { vm, port, json, verbose } = this.flags;
    const ofVm = vm === undefined ? '' : ` of ${vm}`;
    const text = `listening on vsock packets${ofVm}${port === undefined ? '' : `, port ${port}`}`;
    if (json && verbose) this.verbose(text);
    else this.note(text);
  }

  #tellEnd(): void {
    const ended = { captured: this.#captured, lost: this.#lost };
    if (this.flags.quiet) return;
    if (this.flags.json) this.io.stderr.write(renderJson(ended, false));
    else this.note(`${ended.captured} packets captured, ${ended.lost} lost`);
  }
}

/** Bytes of a frame. @throws UsageError */
function frameSize(text: string): number {
  const size = parseSize(text);
  if (size >= VSOCKMON_VIRTIO_HEADERS && size <= MAXIMUM_SNAPLEN) return size;
  const most = formatSize(MAXIMUM_SNAPLEN);
  throw new UsageError(`'${text}' is not from ${VSOCKMON_VIRTIO_HEADERS} to ${most}`);
}
