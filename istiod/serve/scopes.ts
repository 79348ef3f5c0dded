// SPDX-License-Identifier: Apache-2.0
// Log levels while istiod runs, as Istio's command line asks for them (`istioctl admin log`, port 9876 on loopback):
// GET /scopej/ lists the scopes, GET /scopej/NAME shows one, PUT /scopej/NAME {"output_level": "debug"} changes it.

import { type AdminRequest, json, type Reply, type Route, text } from '#lib/kit/admin.ts';
import { LEVELS, type Level, type Logger } from '#lib/kit/log.ts';
import { own, table } from '#lib/kit/table.ts';

const PATH = '/scopej/';
/** Scopes by what they tell of. `default` is all that has no level of its own. */
const SCOPES = table<string>({
  default: 'everything that has no level of its own',
  ads: 'clients, and what they are told',
  admission: 'the validating webhook',
  auth: 'tokens, checked without the API server',
  ca: 'certificates and the root',
  cluster: 'other clusters of the mesh',
  entry: 'addresses of ServiceEntries, registered machines',
  gateway: 'what is run for Gateways',
  history: 'the log of the configuration',
  keys: 'key sets of RequestAuthentications',
  kube: 'the API server, kind by kind',
  model: 'objects, and what the mesh makes of them',
  status: 'what is written on objects',
});

export function scopePages(log: Logger): Record<string, Route> {
  const page: Route = (request) => answer(log, request);
  return { [PATH]: page, [PATH.slice(0, -1)]: page };
}

function answer(log: Logger, { body, method, path }: AdminRequest): Reply {
  const name = path.slice(PATH.length);
  if (name === '') return json(Object.keys(SCOPES).map((scope) => shown(log, scope)));
  if (own(SCOPES, name) === undefined)
    return text(`no scope ${name}; there are ${Object.keys(SCOPES).join(', ')}\n`, 404);
  if (method !== 'PUT') return json(shown(log, name));
  const level = levelIn(body);
  if (level === undefined) {
    return text(`write {"output_level": LEVEL} with one of ${['none', ...LEVELS.slice(1)].join(', ')}\n`, 400);
  }
  if (name === 'default') log.setLevel(level);
  else log.setLevel(level, name);
  log.info('log level changed', { levels: log.levels() });
  return { status: 202, body: '' };
}

function levelIn(body: string): Level | undefined {
  try {
    const { output_level: given } = JSON.parse(body) as { readonly output_level?: unknown };
    return given === 'none' ? 'off' : LEVELS.find((level) => level === given);
  } catch {
    return undefined;
  }
}

function shown(log: Logger, name: string) {
  const [all = 'info', ...single] = log.levels().split(',');
  const level = single.map((item) => item.split('=')).find(([scope]) => scope === name)?.[1] ?? all;
  return {
    name,
    description: SCOPES[name],
    output_level: level === 'off' ? 'none' : level,
    stack_trace_level: 'none',
    log_callers: false,
  };
}
