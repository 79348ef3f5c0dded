// SPDX-License-Identifier: Apache-2.0
// `/debug/explain?from=…&dns=NAME`: what a pod's question for a name would be answered, and why; by the function that answers questions.
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { findWorkload, unknownWorkload } from '#lib/mesh/explain.ts';
import { formatProof, recordProof, type Step } from '#lib/mesh/proof.ts';
import type { MeshListing } from '#lib/mesh/view.ts';
import { describeWorkload, type Workload } from '#lib/mesh/workload.ts';
import { MAX_TRIES, resolverOfTry } from '#lib/proxy/dns/resolvers.ts';
import { encodeQuestion } from '#lib/wire/dns-lookup.ts';
import type { WorkerSettings } from '../control.ts';
import { answerQuestion, DNS_TTL_SECONDS, type DnsAnswer } from '../dns/answer.ts';
import { dnsOptionsOf } from '../dns/options.ts';
import { dnsViewOf } from './explain-options.ts';

/** Of one type of record. */
export interface DnsPart {
  readonly type: 'A' | 'AAAA';
  /** `empty`: the name exists and has no such record. `uncaptured`: the pod's own resolver is asked, past the proxy. */
  readonly kind: 'answer' | 'empty' | 'forward' | 'uncaptured';
  readonly addresses: readonly string[];
  /** One sentence. */
  readonly text: string;
  readonly proof: readonly Step[];
  /** The proof as lines for people. */
  readonly lines: readonly string[];
}

export interface DnsExplanation {
  readonly from: { readonly name: string; readonly namespace: string };
  /** Lower case, without the final dot. */
  readonly dns: string;
  readonly answers: readonly DnsPart[];
}

/**
 * Explains a question.
 * @param from `namespace/pod`, workload uid, or IP address
 */
export function explainDns(
  mesh: MeshListing,
  from: string,
  name: string,
  settings: WorkerSettings,
): Result<DnsExplanation> {
  const client = findWorkload(mesh, from, settings.network);
  if (client === undefined) return fail(unknownWorkload(from));
  const dns = name.toLowerCase().replace(/\.$/, '');
  if (encodeQuestion(0, dns, 'A') === undefined)
    return fail({ field: 'dns', message: `${JSON.stringify(name)} is no name`, fix: 'write a host name' });
  const answers = (['A', 'AAAA'] as const).map((type) => explainType(mesh, client, dns, type, settings));
  return ok({ from: { name: client.name, namespace: client.namespace }, dns, answers });
}

function explainType(
  mesh: MeshListing,
  client: Workload,
  name: string,
  type: 'A' | 'AAAA',
  settings: WorkerSettings,
): DnsPart {
  const recorder = recordProof();
  const part = (kind: DnsPart['kind'], text: string, addresses: readonly string[] = []): DnsPart => ({
    ...{ type, kind, addresses, text, proof: recorder.steps },
    lines: formatProof(recorder.steps),
  });
  if (client.protocol !== 'hbone') {
    const change = 'enrol it';
    recorder.step(
      `Workload ${describeWorkload(client)}`,
      '',
      'is it enrolled',
      'no, so it asks past the proxy',
      change,
    );
    return part('uncaptured', UNCAPTURED);
  }
  if (!settings.dns.enabled) {
    const change = 'ISTIO_META_DNS_CAPTURE or AMBIT_DNS of the node proxy is true';
    recorder.step('setting ISTIO_META_DNS_CAPTURE', '', 'are questions captured', 'no', change);
    return part('uncaptured', UNCAPTURED);
  }
  const question = { name, type, client };
  const answer = answerQuestion(dnsViewOf(mesh), question, dnsOptionsOf(settings), () => 0, recorder);
  if (answer.kind === 'forward') {
    const { servers, tryMs } = settings.dns;
    tellResolvers((clause, outcome) => recorder.step('Resolvers of the proxy', '', clause, outcome), servers, tryMs);
    const [first = 'nobody'] = servers;
    return part('forward', servers.length === 0 ? NO_RESOLVER : `no name of the mesh: passed on to ${first}`);
  }
  const addresses = answer.addresses.map(({ text }) => text);
  return part(addresses.length > 0 ? 'answer' : 'empty', textOf(answer, addresses), addresses);
}

const UNCAPTURED = 'the proxy is not asked: the pod’s own resolvers are (resolv.conf of the pod)';
const NO_RESOLVER = 'no name of the mesh, and no resolver to pass it on to: server failure';

function textOf(answer: DnsAnswer & { readonly kind: 'answer' }, addresses: readonly string[]): string {
  const alias = answer.alias === undefined ? '' : `an alias of ${answer.alias}, `;
  const of = `service ${answer.service.key}`;
  if (addresses.length === 0) return `${alias}the name exists, with no record of this type: ${of}`;
  return `${alias}${addresses.join(', ')} for ${DNS_TTL_SECONDS} s: ${of}`;
}

/** What becomes of a question that is passed on, whoever is silent. */
function tellResolvers(tell: (clause: string, outcome: string) => void, servers: readonly string[], tryMs: number) {
  if (servers.length === 0) {
    tell('who is asked', 'nobody: the proxy’s resolv.conf names no resolver, so the answer is a server failure');
    return;
  }
  const order = Array.from({ length: MAX_TRIES }, (_, n) => resolverOfTry(servers, n));
  tell('who is asked, in this order until one answers', `${order.join(', ')}, each for ${tryMs} ms`);
  tell('when one says that there is no such name', 'the client is told so; no other is asked');
  const silent = `server failure after ${MAX_TRIES * tryMs} ms, counted in istio_dns_upstream_failures_total`;
  tell('when none answers', `${silent}; every further try in ambit_dns_fallbacks_total`);
}
