/** `vmmctl hgcm call`: calls a function of any service of VirtualBox's host, as a guest's program does. */
import { VmmctlCommand } from '../../cli/command.js';
import { UsageError } from '../../cli/errors.js';
import { arg, args } from '../../cli/flags.js';
import { formatDuration } from '../../cli/parse.js';
import { escapeControls } from '../../cli/view/escape.js';
import { HGCM_SERVICES } from '../../core/abi/hgcm.js';
import { vboxStatusName } from '../../core/abi/vbox-err.js';
import type { DeviceNode } from '../../core/backend/port/node.js';
import { explain } from '../../core/client/explain.js';
import {
  type HgcmAnswer,
  type HgcmParameter,
  hgcmCall,
  withService,
} from '../../core/client/hgcm.js';
import { vboxError } from '../../core/client/vbox-error.js';
import { guestNode } from '../guest-side.js';
import { PARAMETER_COLUMNS, parameterJson, valueText } from './view.js';
import {
  checkTotal,
  functionNumber,
  PARAMETER_WORDS,
  type ParameterWord,
  parameterWord,
  readParameter,
  serviceName,
} from './words.js';

export default class HgcmCall extends VmmctlCommand<typeof HgcmCall> {
  static override summary = 'call a host service from a guest';
  static override description =
    "Calls a function of a service of VirtualBox's host, and prints the parameters as the call left them. Of a\n" +
    'service that ends the call with a failure, the exit status is what the failure means.\n' +
    'A parameter is u32:N or u64:N (decimal, or hex with 0x), str:TEXT (with the NUL that services want), in:TEXT\n' +
    'or inout:TEXT (in:@FILE reads a file, in:- stdin), or out:SIZE, a buffer for the service to write to.';
  static override examples = [
    {
      description: "Send bytes there and back, with the simulated host's own service",
      command: 'vmmctl --in web1 hgcm call VmmctlEcho 1 in:hello out:16',
    },
    {
      description: 'Read a guest property by hand, for a script',
      command:
        'vmmctl --in web1 hgcm call VBoxGuestPropSvc 1 str:/VirtualBox/HostInfo/VBoxVer out:1K u64:0 u32:0 --json',
    },
  ];
  static override guestView = true;
  static override args = {
    service: arg({
      summary: 'name of the service',
      words: [...HGCM_SERVICES, 'VmmctlEcho'],
      convert: serviceName,
    }),
    function: arg({ summary: 'number of the function', convert: functionNumber }),
    parm: args({
      summary: 'u32:N, u64:N, str:TEXT, in:TEXT, inout:TEXT or out:SIZE',
      words: PARAMETER_WORDS,
      convert: parameterWord,
    }),
  };

  async run(): Promise<void> {
    const { service, parm } = this.args;
    if (parm.filter(isStdin).length > 1) {
      throw new UsageError('stdin can be read for one parameter alone');
    }
    const simulated = this.backendUri !== 'device';
    if (simulated) checkTotal(parm);
    const node = await guestNode(this);
    const parameters: HgcmParameter[] = [];
    for (const word of parm) parameters.push(await readParameter(word, this.io.stdin));
    if (simulated) checkTotal(parameters);
    const answer = await withService(node, service, (client) =>
      this.#call(node, client, parameters),
    );
    await this.#show(answer);
  }

  async #call(
    node: DeviceNode,
    client: number,
    parameters: readonly HgcmParameter[],
  ): Promise<HgcmAnswer> {
    const { timeoutMs, signal } = this;
    const call = hgcmCall(node, client, this.args.function, parameters, { timeoutMs, signal });
    const title = this.#title;
    this.verbose(`calling ${title}`);
    const answer = await explain(call, {
      ETIMEDOUT: [`${title} did not end within ${formatDuration(timeoutMs ?? 0)}`],
    });
    if (answer.status >= 0) return answer;
    for (const each of answer.parameters) this.verbose(`${each.type} ${lineOf(each)}`);
    throw vboxError(answer.status, {}, { message: `${title} failed` });
  }

  async #show({ status, parameters }: HgcmAnswer): Promise<void> {
    const name = vboxStatusName(status);
    if (this.flags.json) {
      return this.json({ status: name, rc: status, parameters: parameters.map(parameterJson) });
    }
    if (status !== 0) this.note(`${this.#title} ends with ${name}`);
    if (!this.flags.quiet) return this.table(parameters, PARAMETER_COLUMNS);
    const answers = parameters.filter(({ type }) => type !== 'in');
    this.out(answers.map((each) => `${lineOf(each)}\n`).join(''));
  }

  get #title(): string {
    return `function ${this.args.function} of '${this.args.service}'`;
  }
}

function isStdin(word: ParameterWord): boolean {
  return 'from' in word && word.from === '-';
}

function lineOf(parameter: HgcmParameter): string {
  return escapeControls(valueText(parameter));
}
