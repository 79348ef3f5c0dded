// SPDX-License-Identifier: Apache-2.0
// `ambit explain`: what would become of a connection, and why. The node proxy of the client is asked where it would
// go, the one of the destination whether it would be let in; both run the function that their traffic runs.

import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { formatProblem } from '#lib/kit/result.ts';
import type { Pod } from '#lib/kube/object.ts';
import { explain as explainIn } from '#lib/mesh/explain.ts';
import { type Cluster, findPod, withCluster } from '../cluster.ts';
import { type End, pastProxy } from '../cni/past-proxy.ts';
import type { CliIo } from '../io.ts';
import { meshAt, resolveIn } from '../istiod/past.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { askWaypoint, type RequestAnswer, type RequestQuery } from '../waypoint/explanation.ts';
import { dnsExplanationText, explainDns } from '../ztunnel/dns-explanation.ts';
import { askExplain, askTunnel, type Explanation, type ExplanationPart } from '../ztunnel/explanation.ts';
import { nodeOf, ztunnelOfNode } from '../ztunnel/target.ts';
import { momentOf } from './diff.ts';
import { explanationText, type FullExplanation } from './full-explanation.ts';

interface Options {
  readonly from: string;
  readonly to?: string;
  readonly dns?: string;
  readonly method: string;
  readonly path: string;
  readonly header: readonly string[];
  readonly at?: number;
  readonly output: Format;
}

/** The request that is meant when nothing else is said. */
const PLAIN_REQUEST: RequestQuery = { method: 'GET', path: '/', headers: [] };

const NEITHER = 'what is to be explained is not said';
const WHAT = 'write --to HOST:PORT for a connection, or --dns NAME for a name, which is asked of the mesh as it is now';

export function explainCommand(io: CliIo, exit: (code: number) => void): Command {
  const moment = (text: string): number => momentOf(text, Date.now());
  const command = new Command('explain')
    .description(
      'tell what would become of a connection, or of a question to DNS, and why; exits 1 when a connection would be refused',
    )
    .requiredOption('--from <pod>', 'the client, as namespace/name or name')
    .option('--to <host:port>', 'what it would dial: a service, an address, or a pod as namespace/name:port')
    .option('--dns <name>', 'instead of --to: a name that it would ask for')
    .option('--method <method>', 'of the request, where a waypoint decides', PLAIN_REQUEST.method)
    .option('--path <path>', 'of the request, query included', PLAIN_REQUEST.path)
    .option('--header <header...>', 'of the request, as name:value', [])
    .option(
      '--at <moment>',
      'with the configuration of that time (2026-01-31T12:00:00Z), or of so long ago (10m)',
      moment,
    )
    .addOption(outputOption());
  command.action(async (options: Options) => {
    const { at, dns, from, header: headers, method, path, to } = options;
    if (dns !== undefined && to === undefined && at === undefined) {
      const found = await withCluster(command, async (cluster) =>
        explainDns(cluster, await findPod(cluster, from), dns),
      );
      io.out(formatValue(options.output, found, () => dnsExplanationText(found, io.color)));
      return;
    }
    if (to === undefined || dns !== undefined) throw new AmbitError('USAGE', NEITHER, { advice: WHAT });
    const bad = headers.find((header) => !/^[^\s:]+:/.test(header));
    if (bad !== undefined)
      throw new AmbitError('USAGE', `--header ${bad} is no header`, { advice: 'write it as name:value' });
    const answer = await withCluster(command, (cluster) =>
      at === undefined ? explain(cluster, from, to, { method, path, headers }) : explainAt(cluster, from, to, at),
    );
    io.out(formatValue(options.output, answer, () => explanationText(answer, io.color)));
    if (!answer.allowed) exit(1);
  });
  return command;
}

/** Asks the proxies involved. */
export async function explain(
  cluster: Cluster,
  from: string,
  to: string,
  query: RequestQuery = PLAIN_REQUEST,
): Promise<FullExplanation> {
  const client = await findPod(cluster, from);
  const node = nodeOf(client);
  const name = `${client.metadata.namespace}/${client.metadata.name}`;
  const dialled = await destination(cluster, to);
  const near = await askExplain(cluster, await ztunnelOfNode(cluster, node), name, dialled);
  const old = await olderConnections(cluster, client, near, to);
  const common = { from: name, to, outbound: { ...near.outbound, node }, ...old };
  const end = near.outbound.verdict.workload;
  if (near.outbound.verdict.waypoint === true && end !== undefined) {
    const request = await atWaypoint(cluster, end, client, near, query);
    const inbound = await behindWaypoint(cluster, end, request);
    const allowed = near.allowed && request.allowed && inbound?.verdict.allow !== false;
    return { ...common, allowed, request, ...(inbound && { inbound }) };
  }
  if (near.inbound === undefined || end === undefined) return { ...common, allowed: near.allowed };
  // What lets a connection in is what the destination's own proxy knows, which may be older or newer.
  const far = end.node === node ? near : await farSide(cluster, end.node, name, dialled, near);
  const workload = `${end.namespace}/${end.name}`;
  const inbound =
    typeof far === 'string'
      ? { ...near.inbound, node, workload, insteadOf: far }
      : { ...(far.inbound ?? near.inbound), ...heldIn(far), node: end.node, workload };
  return { ...common, allowed: near.outbound.verdict.kind !== 'drop' && inbound.verdict.allow !== false, inbound };
}

/**
 * With the configuration of another time, over the pods of now. Evaluated here: no proxy holds it any more. What a
 * waypoint would have decided about a request is not told.
 */
export async function explainAt(cluster: Cluster, from: string, to: string, at: number): Promise<FullExplanation> {
  const client = await findPod(cluster, from);
  const name = `${client.metadata.namespace}/${client.metadata.name}`;
  const past = await meshAt(cluster, at);
  const outboundOptions = { network: past.settings.network, clusterRanges: [], unknownCluster: 'pass' as const };
  const dialled = await destination(cluster, to);
  const found = explainIn(past.mesh, name, dialled, { outbound: outboundOptions, resolve: resolveIn(past.settings) });
  if (!found.ok) throw new AmbitError('EXPLAIN', found.problems.map(formatProblem).join('; '));
  const { allowed, inbound, outbound } = found.value;
  const end = (outbound.verdict as ExplanationPart['verdict']).workload;
  const node = `istiod's log, ${new Date(at).toISOString()}`;
  return {
    from: name,
    to,
    at: new Date(at).toISOString(),
    allowed,
    outbound: { ...outbound, node },
    ...(inbound && end && { inbound: { ...inbound, node, workload: `${end.namespace}/${end.name}` } }),
    pastProxy: [],
    unasked: {},
  };
}

/** Has the waypoint judge the request that would come to it. */
async function atWaypoint(
  cluster: Cluster,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  client: Pod,
  near: Explanation,
  query: RequestQuery,
): Promise<NonNullable<FullExplanation['request']>> {
  const pod = await findPod(cluster, `${namespace}/${name}`);
  const port = near.to.slice(near.to.lastIndexOf(':') + 1);
  const authority = near.outbound.verdict.authority ?? `${near.address}:${port}`;
  const ends = { identity: near.from.identity, source: client.status?.podIP ?? '', authority, host: near.to };
  const answer = await askWaypoint(cluster, pod, ends, query);
  const asked = answer.stream === true ? 'A stream' : `${query.method} ${query.path}`;
  return { ...answer, waypoint: `${namespace}/${name}`, asked };
}

/** Whether the endpoint that the waypoint would choose lets the waypoint in: its node's proxy sees the waypoint, not the client. */
async function behindWaypoint(
  cluster: Cluster,
  waypoint: { readonly name: string; readonly namespace: string },
  { endpoint }: RequestAnswer,
): Promise<FullExplanation['inbound']> {
  const { address, tunnelled, workload } = endpoint?.verdict ?? {};
  if (workload === undefined || address === undefined || tunnelled !== true) return undefined;
  const { name, namespace, node } = workload;
  const proxy = await ztunnelOfNode(cluster, node);
  try {
    const far = await askTunnel(cluster, proxy, `${waypoint.namespace}/${waypoint.name}`, address);
    return { ...far.inbound, ...heldIn(far), node, workload: `${namespace}/${name}` };
  } catch (error) {
    if (error instanceof AmbitError && error.code.startsWith('EXPLAIN')) return undefined;
    throw error;
  }
}

/** What both ends' node agents know of connections from before the enrolment. */
async function olderConnections(
  cluster: Cluster,
  client: Pod,
  near: Explanation,
  to: string,
): Promise<Pick<FullExplanation, 'pastProxy' | 'unasked'>> {
  const port = to.slice(to.lastIndexOf(':') + 1);
  const { authority, workload } = near.outbound.verdict;
  const dialled = near.address.includes(':') ? `[${near.address}]:${port}` : `${near.address}:${port}`;
  const ends: End[] = [{ pod: client, dials: [dialled, ...(authority === undefined ? [] : [authority])] }];
  const server = workload === undefined ? undefined : await cluster.pod(workload.namespace, workload.name);
  if (server?.spec?.nodeName !== undefined) {
    const served = (authority ?? dialled).split(':').at(-1);
    ends.push({ pod: server, serves: { port: Number(served), clients: addresses(client) } });
  }
  const unasked: Record<string, string> = {};
  const found = await pastProxy(cluster, ends, (node, why) => {
    unasked[node] = why;
  });
  return { pastProxy: found, unasked };
}

function heldIn({ held }: Pick<Explanation, 'held'>): Pick<Explanation, 'held'> {
  return held === undefined || held.length === 0 ? {} : { held };
}

function addresses({ status }: Pod): string[] {
  return [status?.podIP ?? '', ...(status?.podIPs ?? []).map(({ ip }) => ip ?? '')].filter((ip) => ip !== '');
}

/**
 * The destination proxy's answer, if it means the same destination; a balancer there may have drawn another. Text when
 * another implementation's proxy runs there, which cannot explain.
 */
async function farSide(
  cluster: Cluster,
  node: string,
  from: string,
  to: string,
  near: Explanation,
): Promise<Explanation | string> {
  try {
    const far = await askExplain(cluster, await ztunnelOfNode(cluster, node), from, to);
    return far.outbound.verdict.workload?.name === near.outbound.verdict.workload?.name
      ? far
      : { ...near, held: far.held ?? [] };
  } catch (error) {
    if (error instanceof AmbitError && error.code === 'EXPLAIN_UNSUPPORTED') return error.message;
    throw error;
  }
}

/** `namespace/pod:port` becomes an address; everything else is the proxy's to look up. */
async function destination(cluster: Cluster, to: string): Promise<string> {
  const match = /^([^/:]+\/[^/:]+):(\d+)$/.exec(to);
  if (match === null) return to;
  const pod = await findPod(cluster, match[1] ?? '');
  const ip = pod.status?.podIP ?? '';
  if (ip === '') throw new AmbitError('POD_NOT_SCHEDULED', `pod ${match[1]} has no address yet`);
  return ip.includes(':') ? `[${ip}]:${match[2]}` : `${ip}:${match[2]}`;
}
