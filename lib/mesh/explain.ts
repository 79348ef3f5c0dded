// SPDX-License-Identifier: Apache-2.0
//
// Questions about connections that have not happened. A node proxy answers them with the very functions that decide
// about traffic, only with a recorder that keeps the proof. A question has two halves: the node of the client knows
// where the connection would go, the node of the destination whether it would be let in.

import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import { authorize } from './authorize.ts';
import type { OutboundOptions } from './flow.ts';
import { parseIdentity } from './identity.ts';
import { resolveInbound } from './inbound.ts';
import { type Ip, parseIp } from './ip.ts';
import { resolveOutbound } from './outbound.ts';
import { type Recorder, recordProof, type Step } from './proof.ts';
import { accessText, inboundText, outboundText } from './reason.ts';
import type { OutboundVerdict } from './verdict.ts';
import type { MeshView } from './view.ts';
import { describeWorkload, identityOf, type Workload } from './workload.ts';

/** Whom to ask for the other half: the proxy of `node`, about what arrives at `address`. */
export interface NextHop {
  /** `namespace/name`. */
  readonly workload: string;
  readonly node: string;
  /** `ip:port`, the port being the one behind the tunnel. */
  readonly address: string;
  /** SPIFFE URI the destination will see; '' for plaintext. */
  readonly identity: string;
  /** The client's address as the destination will see it. */
  readonly sourceIp: string;
}

/** One half of an answer. */
export interface Explanation {
  readonly side: 'outbound' | 'inbound';
  readonly from: string;
  readonly to: string;
  readonly allowed: boolean;
  /** Stable reason code. */
  readonly code: string;
  /** One sentence. */
  readonly verdict: string;
  readonly steps: readonly Step[];
  /** Absent when the connection ends here, or nobody guards the destination. */
  readonly next?: NextHop;
}

export interface OutboundQuestion {
  readonly source: Workload;
  /** An address or a service's name. */
  readonly host: string;
  readonly port: number;
  readonly options: OutboundOptions;
  /** DNS domain of the cluster. */
  readonly domain: string;
  /** Uniform in [0, 1): which of several endpoints is drawn. */
  readonly random: () => number;
}

/** Where a connection of a captured workload would go. */
export function explainOutbound(view: MeshView, question: OutboundQuestion): Result<Explanation> {
  const { host, options, port, random, source } = question;
  const rec = recordProof();
  const from = describeWorkload(source);
  const to = `${host}:${port}`;
  const ip = resolveName(view, question, rec);
  if (ip === undefined) {
    const fix = 'name a service as name, name.namespace or in full, or give an address';
    return fail({ field: 'to', message: `no service is called ${host} for clients of ${source.namespace}`, fix });
  }
  const captured = source.protocol === 'hbone';
  if (!captured) {
    rec.step(
      `Workload ${from}`,
      '',
      'capture',
      'its connections are not captured: nothing is decided on this side',
      'enrol it',
    );
  }
  const flow = { source, ip, port, tried: [], waited: true };
  const verdict = resolveOutbound(view, flow, options, random, rec);
  const next = nextHop(verdict, source, ip, captured);
  return ok({
    side: 'outbound',
    from,
    to,
    allowed: verdict.kind !== 'drop',
    code: verdict.reason,
    verdict: captured ? outboundText(verdict) : `plain TCP to ${ip.withPort(port)}, since ${from} is not in the mesh`,
    steps: rec.steps,
    ...(next === undefined ? {} : { next }),
  });
}

export interface InboundQuestion {
  /** SPIFFE URI of the client; '' for plaintext. */
  readonly identity: string;
  readonly sourceIp: string;
  /** `ip:port` behind the tunnel. */
  readonly ip: string;
  readonly port: number;
  readonly network: string;
}

/** Whether a connection would be let in to a workload of this node. */
export function explainInbound(view: MeshView, question: InboundQuestion): Result<Explanation> {
  const { identity: uri, network, port } = question;
  const problems: Problem[] = [];
  const identity = uri === '' ? undefined : parseIdentity(uri);
  if (uri !== '' && identity === undefined)
    problems.push({ field: 'identity', message: `${uri} is no SPIFFE identity` });
  const ip = parseIp(question.ip);
  if (ip === undefined) problems.push({ field: 'to', message: `${question.ip} is no address` });
  const sourceIp = parseIp(question.sourceIp);
  if (sourceIp === undefined) problems.push({ field: 'sourceIp', message: `${question.sourceIp} is no address` });
  const local = ip === undefined ? undefined : view.workloadByAddress(network, ip);
  if (ip !== undefined && local === undefined) {
    problems.push({ field: 'to', message: `no workload has the address ${question.ip}` });
  }
  const [first, ...rest] = problems;
  if (first !== undefined) return fail(first, ...rest);

  const rec = recordProof();
  const common = { side: 'inbound', from: uri === '' ? `plaintext from ${question.sourceIp}` : uri } as const;
  const to = `${describeWorkload(local!)} port ${port}`;
  if (uri !== '') {
    const authority = { ip, hostname: '', port };
    const inbound = resolveInbound(view, { local: local!, connectedIp: ip!, authority, network }, rec);
    if (inbound.kind === 'refuse') {
      return ok({
        ...common,
        to,
        allowed: false,
        code: inbound.reason,
        verdict: inboundText(inbound),
        steps: rec.steps,
      });
    }
  }
  const flow = { sourceIp: sourceIp!, identity, destinationIp: ip!, destinationPort: port };
  const access = authorize(view, local!, flow, rec);
  return ok({
    ...common,
    to,
    allowed: access.allow,
    code: access.reason,
    verdict: accessText(access),
    steps: rec.steps,
  });
}

/** What the client's resolver would answer, by its search path. */
function resolveName(view: MeshView, { domain, host, source }: OutboundQuestion, rec: Recorder): Ip | undefined {
  const literal = parseIp(host.replace(/^\[|\]$/g, ''));
  if (literal !== undefined) return literal;
  const name = host.replace(/\.$/, '').toLowerCase();
  const search = [`${name}.${source.namespace}.svc.${domain}`, `${name}.svc.${domain}`, `${name}.${domain}`, name];
  for (const candidate of search) {
    const service = view.serviceByHostname(candidate, source.namespace);
    if (service === undefined) continue;
    const own = service.vips.find(({ range }) => range.host);
    const ip = own?.range.base ?? view.endpoints(service)[0]?.workload.addresses[0];
    if (ip === undefined) continue;
    rec.step(`Name ${host}`, '', `looked up as ${candidate}`, `service ${service.key}, address ${ip.text}`);
    return ip;
  }
  return undefined;
}

/** The far end, when a proxy guards it. */
function nextHop(verdict: OutboundVerdict, source: Workload, dialled: Ip, captured: boolean): NextHop | undefined {
  if (verdict.kind === 'drop' || verdict.kind === 'wait' || verdict.kind === 'passthrough') return undefined;
  const { workload } = verdict;
  if (workload === undefined || workload.protocol !== 'hbone') return undefined;
  const tunnelled = captured && verdict.kind === 'hbone';
  const target = verdict.kind === 'hbone' ? (verdict.waypoint ? verdict.target : verdict.destination) : verdict.target;
  const ip = target.ip ?? workload.addresses[0];
  if (ip === undefined) return undefined;
  const sourceIp = source.addresses.find(({ family }) => family === dialled.family) ?? source.addresses[0];
  return {
    workload: describeWorkload(workload),
    node: workload.node,
    address: ip.withPort(target.port),
    identity: tunnelled ? identityOf(source).uri : '',
    sourceIp: sourceIp?.text ?? '',
  };
}

/** Query parameters by name. */
export type Lookup = (name: string) => string | null;

/** What the proxy that answers knows about itself. */
export interface AnswerContext {
  readonly options: OutboundOptions;
  readonly clusterId: string;
  readonly domain: string;
  readonly random: () => number;
}

/**
 * Answers `/debug/explain`.
 *
 *   ?from=NAMESPACE/POD&fromIp=IP&to=HOST:PORT              where would it go
 *   ?side=inbound&identity=SPIFFE&sourceIp=IP&to=IP:PORT    would it be let in
 */
export function answerExplain(view: MeshView, query: Lookup, context: AnswerContext): Result<Explanation> {
  const to = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(query('to') ?? '');
  const port = Number(to?.[2]);
  if (to === null || port < 1 || port > 65_535) {
    return fail({
      field: 'to',
      message: `${JSON.stringify(query('to') ?? '')} is no HOST:PORT`,
      fix: 'write for example web.shop:80',
    });
  }
  const host = to[1] ?? '';
  const { network } = context.options;
  if (query('side') === 'inbound') {
    const sourceIp = query('sourceIp') ?? '';
    return explainInbound(view, { identity: query('identity') ?? '', sourceIp, ip: host, port, network });
  }
  const from = query('from') ?? '';
  const ip = parseIp(query('fromIp') ?? from);
  const source =
    view.workloadByUid(`${context.clusterId}//Pod/${from}`) ??
    (ip === undefined ? undefined : view.workloadByAddress(network, ip));
  if (source === undefined) {
    const fix = 'name a running pod as namespace/name; the control plane may not have told of it yet';
    return fail({ field: 'from', message: `${JSON.stringify(from)} is no workload that is known here`, fix });
  }
  const { domain, options, random } = context;
  return explainOutbound(view, { source, host, port, options, domain, random });
}
