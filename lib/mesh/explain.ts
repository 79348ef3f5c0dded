// SPDX-License-Identifier: Apache-2.0
// Answers what would happen to a connection that has not happened: the very functions that traffic runs, with a recorder that keeps
// every step. Pure over a view: a node proxy's records, or a mesh made of the configuration of another time.
import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import { authorize } from './authorize.ts';
import type { OutboundOptions } from './flow.ts';
import { resolveInbound } from './inbound.ts';
import { type Ip, parseIp } from './ip.ts';
import { resolveOutbound } from './outbound.ts';
import { formatProof, NO_PROOF, type Recorder, recordProof, type Step } from './proof.ts';
import { accessText, inboundText, outboundText } from './reason.ts';
import type { OutboundVerdict } from './verdict.ts';
import type { MeshListing } from './view.ts';
import { describeWorkload, identityOf, type ServiceKey, type Workload } from './workload.ts';

export interface ExplainOptions {
  readonly outbound: OutboundOptions;
  /** What the client's resolver says of a name; undefined when it is no service of the mesh. */
  readonly resolve: (mesh: MeshListing, client: Workload, name: string) => NamedService | undefined;
  /** Of the proxy that explains; none where it is not known. */
  readonly podLimits?: PodLimits;
}

/** What one pod may open or be sent, and be handshaken with, in each second and data-plane process; 0 is no limit. */
export interface PodLimits {
  readonly connections: number;
  readonly handshakes: number;
}

export interface NamedService {
  readonly ip: Ip;
  readonly service: ServiceKey;
}

interface Part {
  readonly verdict: Readonly<Record<string, unknown>>;
  /** One sentence. */
  readonly text: string;
  readonly proof: readonly Step[];
  /** The proof as lines for people. */
  readonly lines: readonly string[];
}

export interface Explanation {
  readonly from: {
    readonly uid: string;
    readonly name: string;
    readonly namespace: string;
    readonly identity: string;
    readonly addresses: readonly string[];
  };
  readonly to: string;
  /** Address that a host name was resolved to, by this proxy's own DNS. */
  readonly address: string;
  readonly outbound: Part;
  /** At the destination; absent when it is not in the mesh, or is a waypoint that decides on layer 7. */
  readonly inbound: Part | undefined;
  readonly allowed: boolean;
}

/**
 * Explains a connection.
 * @param from `namespace/pod`, workload uid, or IP address
 * @param to `host:port` or `ip:port`
 */
export function explain(mesh: MeshListing, from: string, to: string, options: ExplainOptions): Result<Explanation> {
  const source = findWorkload(mesh, from, options.outbound.network);
  if (source === undefined) return fail(unknownWorkload(from));
  const colon = to.lastIndexOf(':');
  const [host, port] = [to.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, ''), Number(to.slice(colon + 1))];
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return fail({ field: 'to', message: `${JSON.stringify(to)} is no destination`, fix: 'write host:port' });
  }
  const recorder = recordProof();
  const ip = parseIp(host) ?? resolveName(mesh, source, host, options, recorder);
  if (ip === undefined) {
    return fail({ field: 'to', message: `${host} is no service of the mesh`, fix: 'write the address it resolves to' });
  }
  const flow = { source, ip, port, tried: [], waited: true };
  const captured = source.protocol === 'hbone';
  if (!captured) {
    const client = describeWorkload(source);
    recorder.step(`Workload ${client}`, '', 'is it enrolled', 'no, so its connections are not captured', 'enrol it');
  }
  // Of a client that is not captured the route is only what the cluster's own balancer would do much the same.
  const verdict = resolveOutbound(mesh, flow, options.outbound, () => 0, captured ? recorder : NO_PROOF);
  if (captured) limitSteps(recorder, options.podLimits);
  const text = captured ? outboundText(verdict) : `plain TCP to ${ip.withPort(port)}: the client is not in the mesh`;
  const outbound = part({ ...summary(verdict), captured }, text, recorder);
  const inbound = explainInbound(mesh, source, verdict, captured, options);
  const inboundAllowed = inbound === undefined || inbound.verdict['allow'] === true;
  return ok({
    from: nameOf(source),
    to,
    address: ip.text,
    outbound,
    inbound,
    allowed: verdict.kind !== 'drop' && verdict.kind !== 'wait' && inboundAllowed,
  });
}

/** Whether a tunnel would be let in that `from` opens itself, as waypoints do. */
export interface TunnelExplanation {
  readonly from: Explanation['from'];
  readonly to: string;
  readonly inbound: Part;
  readonly allowed: boolean;
}

/**
 * Explains a stream of such a tunnel.
 * @param from as of {@link explain}
 * @param to `ip:port` of the workload's application
 */
export function explainTunnel(
  mesh: MeshListing,
  from: string,
  to: string,
  { outbound }: Pick<ExplainOptions, 'outbound'>,
): Result<TunnelExplanation> {
  const source = findWorkload(mesh, from, outbound.network);
  if (source === undefined) return fail(unknownWorkload(from));
  const colon = to.lastIndexOf(':');
  const [ip, port] = [parseIp(to.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, '')), Number(to.slice(colon + 1))];
  const local = ip === undefined ? undefined : mesh.workloadByAddress(outbound.network, ip);
  if (ip === undefined || local === undefined) {
    return fail({ field: 'to', message: `${JSON.stringify(to)} is no workload known here`, fix: 'write its ip:port' });
  }
  const inbound = judge(mesh, source, { local, ip, port, tunnelled: true }, outbound);
  return ok({ from: nameOf(source), to, inbound, allowed: inbound.verdict['allow'] === true });
}

function nameOf(source: Workload): Explanation['from'] {
  const { addresses, name, namespace, uid } = source;
  return { uid, name, namespace, identity: identityOf(source).uri, addresses: addresses.map(({ text }) => text) };
}

/** How many is no decision about one connection, but the reason when one of many is refused. */
function limitSteps(
  recorder: Recorder,
  { connections, handshakes }: PodLimits = { connections: 0, handshakes: 0 },
): void {
  const tell = (limit: number, setting: string, what: string): void => {
    if (limit === 0) return;
    const answer = `${limit} a second for each pod in each data-plane process; more are refused and counted in ambit_connections_refused_total`;
    recorder.step(`setting ${setting}`, '', `how many ${what}`, answer, 'raise it, or 0 for no limit');
  };
  tell(connections, 'AMBIT_POD_CONNECTIONS_PER_SECOND', 'connections');
  tell(handshakes, 'AMBIT_POD_HANDSHAKES_PER_SECOND', 'handshakes of others with it');
}

function explainInbound(
  mesh: MeshListing,
  source: Workload,
  verdict: OutboundVerdict,
  captured: boolean,
  { outbound }: ExplainOptions,
): Part | undefined {
  const end = destinationOf(verdict);
  if (end === undefined) return undefined;
  return judge(mesh, source, { ...end, tunnelled: captured && end.tunnelled }, outbound);
}

/** At the destination, by its node's proxy. */
function judge(
  mesh: MeshListing,
  source: Workload,
  { local, ip, port, tunnelled }: Destination,
  outbound: OutboundOptions,
): Part {
  const recorder = recordProof();
  const authority = { ip, hostname: '', port };
  const delivered = tunnelled
    ? resolveInbound(mesh, { local, connectedIp: ip, authority, network: outbound.network }, recorder)
    : undefined;
  if (delivered?.kind === 'refuse') {
    return part({ allow: false, reason: delivered.reason, status: delivered.status }, inboundText(delivered), recorder);
  }
  const flow = {
    sourceIp: source.addresses.find(({ family }) => family === ip.family) ?? source.addresses[0] ?? ip,
    identity: tunnelled ? identityOf(source) : undefined,
    destinationIp: ip,
    destinationPort: delivered?.port ?? port,
  };
  const access = authorize(mesh, local, flow, recorder);
  const { allow, reason, policy, rule, clause, dryRun } = access;
  return part({ allow, reason, policy, rule, clause, dryRun }, accessText(access), recorder);
}

interface Destination {
  readonly local: Workload;
  readonly ip: Ip;
  readonly port: number;
  readonly tunnelled: boolean;
}

function destinationOf(verdict: OutboundVerdict): Destination | undefined {
  if (verdict.kind === 'hbone' && !verdict.waypoint && verdict.destination.ip !== undefined) {
    return { local: verdict.workload, ip: verdict.destination.ip, port: verdict.destination.port, tunnelled: true };
  }
  if (verdict.kind === 'tcp' && verdict.workload?.protocol === 'hbone' && verdict.target.ip !== undefined) {
    return { local: verdict.workload, ip: verdict.target.ip, port: verdict.target.port, tunnelled: false };
  }
  return undefined;
}

function summary(verdict: OutboundVerdict): Record<string, unknown> {
  const out: Record<string, unknown> = { kind: verdict.kind, reason: verdict.reason };
  if (verdict.kind === 'drop') return { ...out, subject: verdict.subject, service: verdict.service?.key };
  if (verdict.kind === 'wait') return out;
  out['target'] =
    verdict.target.ip?.withPort(verdict.target.port) ?? `${verdict.target.hostname}:${verdict.target.port}`;
  if (verdict.workload !== undefined) {
    const { uid, name, namespace, node } = verdict.workload;
    out['workload'] = { uid, name, namespace, node };
  }
  if (verdict.service !== undefined) out['service'] = verdict.service.key;
  if (verdict.kind === 'hbone') {
    const { authority, identities, waypoint, sameNode } = verdict;
    return { ...out, authority, identities, waypoint, sameNode };
  }
  if (verdict.kind === 'double-hbone') {
    const { authority, outerIdentities, innerIdentities, waypoint } = verdict;
    return { ...out, authority, outerIdentities, innerIdentities, waypoint, gateway: verdict.gateway.uid };
  }
  return out;
}

function part(verdict: Record<string, unknown>, text: string, recorder: Recorder): Part {
  return { verdict, text, proof: recorder.steps, lines: formatProof(recorder.steps) };
}

export function unknownWorkload(from: string): Problem {
  const fix = 'write namespace/pod, a uid or an address';
  return { field: 'from', message: `no workload ${JSON.stringify(from)} is known here`, fix };
}

/** By `namespace/pod`, workload uid, or IP address. */
export function findWorkload(mesh: MeshListing, text: string, network: string): Workload | undefined {
  const known = mesh.workloadByUid(text);
  if (known !== undefined) return known;
  const ip = parseIp(text);
  if (ip !== undefined) return mesh.workloadByAddress(network, ip);
  const [namespace, name, ...rest] = text.split('/');
  if (rest.length > 0 || name === undefined) return undefined;
  for (const workload of mesh.workloads()) {
    if (workload.namespace === namespace && workload.name === name) return workload;
  }
  return undefined;
}

function resolveName(
  mesh: MeshListing,
  client: Workload,
  name: string,
  { resolve }: ExplainOptions,
  recorder: Recorder,
): Ip | undefined {
  const found = resolve(mesh, client, name);
  if (found === undefined) {
    recorder.step(`Name ${name}`, '', '', 'is no service of the mesh; an upstream resolver is asked for it');
    return undefined;
  }
  const { ip, service } = found;
  recorder.step(
    `Name ${name}`,
    '',
    `asked by a pod of namespace ${client.namespace}`,
    `is service ${service}, ${ip.text}`,
  );
  return ip;
}
