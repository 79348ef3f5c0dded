// SPDX-License-Identifier: Apache-2.0
//
// The format of an access log as a list of parts: texts, and commands in Envoy's notation, `%NAME(argument):length%`. Which
// commands there are is here, so that those who check a format and those who write lines by it agree.

export interface LogCommand {
  readonly name: string;
  /** What stands in the parentheses; '' for none. */
  readonly argument: string;
  /** Characters at most; 0 for all. */
  readonly length: number;
}

export type LogPart = string | LogCommand;

/** Commands that waypoints know; `argument` tells what stands in the parentheses. */
export const LOG_COMMANDS: Readonly<Record<string, 'none' | 'header' | 'format' | 'name'>> = Object.freeze(
  Object.assign(Object.create(null) as object, {
    START_TIME: 'format',
    REQ: 'header',
    REQ_WITHOUT_QUERY: 'header',
    RESP: 'header',
    PROTOCOL: 'none',
    RESPONSE_CODE: 'none',
    RESPONSE_FLAGS: 'none',
    RESPONSE_CODE_DETAILS: 'none',
    CONNECTION_TERMINATION_DETAILS: 'none',
    UPSTREAM_TRANSPORT_FAILURE_REASON: 'none',
    BYTES_RECEIVED: 'none',
    BYTES_SENT: 'none',
    DURATION: 'none',
    RESPONSE_DURATION: 'none',
    UPSTREAM_HOST: 'none',
    UPSTREAM_CLUSTER: 'none',
    UPSTREAM_CLUSTER_RAW: 'none',
    UPSTREAM_LOCAL_ADDRESS: 'none',
    UPSTREAM_REQUEST_ATTEMPT_COUNT: 'none',
    DOWNSTREAM_LOCAL_ADDRESS: 'none',
    DOWNSTREAM_LOCAL_URI_SAN: 'none',
    DOWNSTREAM_PEER_URI_SAN: 'none',
    DOWNSTREAM_REMOTE_ADDRESS: 'none',
    DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: 'none',
    DOWNSTREAM_DIRECT_REMOTE_ADDRESS: 'none',
    UPSTREAM_PEER_URI_SAN: 'none',
    REQUESTED_SERVER_NAME: 'none',
    ROUTE_NAME: 'none',
    GRPC_STATUS: 'none',
    GRPC_STATUS_NUMBER: 'none',
    TRACE_ID: 'none',
    SPAN_ID: 'none',
    HOSTNAME: 'none',
    ENVIRONMENT: 'name',
  } satisfies Record<string, 'none' | 'header' | 'format' | 'name'>),
);

const COMMAND = /^([A-Z_0-9]+)(?:\(([^()]*)\))?(?::(\d{1,4}))?$/;

export interface ParsedLogFormat {
  readonly parts: readonly LogPart[];
  /** In words; what is wrong stands in lines as `-`. */
  readonly problems: readonly string[];
}

export function parseLogFormat(format: string): ParsedLogFormat {
  const parts: LogPart[] = [];
  const problems: string[] = [];
  let text = '';
  let at = 0;
  while (at < format.length) {
    const from = format.indexOf('%', at);
    if (from < 0) break;
    text += format.slice(at, from);
    const end = endOf(format, from + 1);
    if (end < 0) {
      problems.push(`% at character ${from + 1} has no end`);
      at = from;
      break;
    }
    at = end + 1;
    if (end === from + 1) {
      text += '%';
      continue;
    }
    if (text !== '') parts.push(text);
    text = '';
    parts.push(commandOf(format.slice(from + 1, end), problems));
  }
  text += format.slice(at);
  if (text !== '') parts.push(text);
  return { parts, problems };
}

/** Of the command that begins there; -1 for none. The time has a format of its own, in which anything may stand. */
function endOf(format: string, from: number): number {
  if (!format.startsWith('START_TIME(', from)) return format.indexOf('%', from);
  const close = format.indexOf(')%', from);
  return close < 0 ? -1 : close + 1;
}

function commandOf(body: string, problems: string[]): LogPart {
  const time = /^START_TIME\((.*)\)$/.exec(body);
  const [, name = '', argument = '', length = '0'] =
    time === null ? (COMMAND.exec(body) ?? []) : ['', 'START_TIME', time[1]];
  const wanted = LOG_COMMANDS[name];
  if (wanted === undefined) problems.push(`%${body}% is no command`);
  else if (wanted === 'none' && argument !== '') problems.push(`%${name}% takes no argument`);
  else if ((wanted === 'header' || wanted === 'name') && argument === '')
    problems.push(`%${name}% needs the name of a ${wanted === 'header' ? 'header' : 'variable'} in parentheses`);
  else return { name, argument, length: Number(length) };
  return '-';
}

/** `X-FIRST?X-OTHER`: the first that is there counts. Lower case. */
export function headersOfArgument(argument: string): readonly string[] {
  return argument.toLowerCase().split('?');
}
