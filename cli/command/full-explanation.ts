// SPDX-License-Identifier: Apache-2.0
// The whole answer of `ambit explain`, joined from those who decide, and how people read it.
import pc from 'picocolors';
import type { PastProxy } from '../cni/past-proxy.ts';
import type { RequestAnswer } from '../waypoint/explanation.ts';
import type { DumpHeld } from '../ztunnel/dump.ts';
import type { ExplanationPart } from '../ztunnel/explanation.ts';

export interface FullExplanation {
  readonly from: string;
  readonly to: string;
  readonly allowed: boolean;
  /** Decided by the proxy of the client's node. */
  readonly outbound: ExplanationPart & { readonly node: string };
  /**
   * Decided by the proxy of the destination's node; absent when no proxy guards it. Where that one cannot be asked,
   * what the client's proxy would decide in its place, and why.
   */
  readonly inbound?: ExplanationPart & {
    readonly node: string;
    readonly workload: string;
    readonly insteadOf?: string;
    /** Addresses of whom it lets in whose tunnels have to wait there. */
    readonly held?: readonly DumpHeld[];
  };
  /** Decided by the waypoint on the way, about the request or the stream; absent when there is none. */
  readonly request?: RequestAnswer & { readonly waypoint: string; readonly asked: string };
  /** Such connections that are older than the enrolment: what is told above does not hold for them. */
  readonly pastProxy: readonly PastProxy[];
  /** The moment whose configuration decided; absent when it is that of now. */
  readonly at?: string;
  /** Nodes whose agent could not be asked for those, with the reason. */
  readonly unasked: Readonly<Record<string, string>>;
}

/** The answer for people: decision first, then the proof of each half. */
export function explanationText(answer: FullExplanation, color: boolean): string {
  const paint = pc.createColors(color);
  const { allowed, from, inbound, outbound, pastProxy: old, request, to, unasked } = answer;
  const lines = [`${outcomeWord(answer, paint)}  ${from} -> ${to}`, ''];
  if (answer.at !== undefined) lines.push(`As configured at ${answer.at}, with the pods of now.`, '');
  const half = (title: string, part: ExplanationPart, held: readonly DumpHeld[] = []): void => {
    lines.push(paint.bold(title), `  ${part.text}`, ...part.lines.map((line) => `    ${line}`));
    lines.push(...held.map((one) => `  ${paint.yellow(heldText(one))}`), '');
  };
  half(`Outbound, decided on ${outbound.node}`, outbound);
  if (request !== undefined) {
    half(
      `${request.asked} to ${request.service}, decided by waypoint ${request.waypoint}: access`,
      request.access,
      request.held,
    );
    if (request.routing !== undefined) half('Routing', request.routing);
    if (request.endpoint !== undefined) half('Endpoint', request.endpoint);
    if (inbound !== undefined)
      half(
        `Inbound at ${inbound.workload}, which sees the waypoint, decided on ${inbound.node}`,
        inbound,
        inbound.held,
      );
  } else if (inbound?.insteadOf !== undefined)
    half(`Inbound at ${inbound.workload}, as ${inbound.node} knows it: ${inbound.insteadOf}`, inbound);
  else if (inbound !== undefined)
    half(`Inbound at ${inbound.workload}, decided on ${inbound.node}`, inbound, inbound.held);
  else if (allowed) lines.push('No node proxy guards the destination: none of its policies is enforced there.', '');
  if (old.length > 0) {
    lines.push(paint.bold('Open since before the enrolment, past the proxies: in clear, judged by no policy'));
    for (const { client, endsInMs, seenIn, server } of old) {
      lines.push(`  ${client} -> ${server}, seen in ${seenIn.join(' and ')}, ends within ${duration(endsInMs)}`);
    }
    lines.push('');
  }
  for (const [node, why] of Object.entries(unasked)) {
    lines.push(`Connections from before the enrolment are not known on ${node}: ${why}`, '');
  }
  return lines.join('\n');
}

/** Who is denied is denied by a policy; what fails for another reason is nobody's intention. */
function outcomeWord(
  { allowed, inbound, request }: FullExplanation,
  paint: ReturnType<typeof pc.createColors>,
): string {
  const waits = [...(inbound?.held ?? []), ...(request?.held ?? [])].length > 0;
  if (allowed) return waits ? paint.yellow('ALLOWED, but has to wait') : paint.green('ALLOWED');
  const denied = inbound?.verdict.allow === false || request?.access.verdict.allow === false;
  return paint.red(denied ? 'DENIED' : 'FAILS');
}

/** Nobody's policy, and still the reason when nothing comes. */
function heldText({ address = '', offences = 0, reason = '', since = '', waiting = 0 }: DumpHeld): string {
  const why = `earlier ones ended badly (${offences} offences still count, the last: ${reason})`;
  return `Tunnels from ${address} have to wait here, ${waiting} of them do since ${since}: ${why}`;
}

function duration(ms: number): string {
  return ms < 120_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`;
}
