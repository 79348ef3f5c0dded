// SPDX-License-Identifier: Apache-2.0
// Whether a request is traced. Whoever decided before it came here has the last word; then its id, in which the decision travels
// along with applications that hand on no trace headers; then chance.

/** What an id says by the digit that is the version of other UUIDs. */
export const UUID_MARK = Object.freeze({ none: '4', sampled: '9', forcedByClient: 'a', forcedByServer: 'b' });

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const MARK_AT = 14;
/** Shares are told apart by hundredths of a percent. */
const STEPS = 10_000;

export interface DecisionInputs {
  /** Of the trace headers. */
  readonly sampled: boolean | undefined;
  /** Header `x-request-id`; undefined when there is none, or when ids are not asked. */
  readonly requestId: string | undefined;
  /** Header `x-envoy-force-trace`. */
  readonly forced: boolean;
  /** Header `x-client-trace-id`. */
  readonly clientTraced: boolean;
  /** Of requests about which nobody has decided, 0 to 1. */
  readonly share: number;
}

export type Mark = (typeof UUID_MARK)[keyof typeof UUID_MARK];

/** What the request's id is to say afterwards; `none` leaves it out of traces. */
export function decide(inputs: DecisionInputs, random: () => number): Mark {
  const { clientTraced, forced, requestId, sampled, share } = inputs;
  if (sampled !== undefined) return sampled ? UUID_MARK.sampled : UUID_MARK.none;
  const id = requestId !== undefined && UUID.test(requestId) ? requestId : undefined;
  const mark = id?.charAt(MARK_AT);
  if (mark === UUID_MARK.sampled || mark === UUID_MARK.forcedByClient || mark === UUID_MARK.forcedByServer) return mark;
  if (clientTraced) return UUID_MARK.forcedByClient;
  if (forced) return UUID_MARK.forcedByServer;
  // Every proxy on the way that has the same share and sees the same id decides the same.
  const drawn = id === undefined ? random() : (Number.parseInt(id.slice(0, 8), 16) % STEPS) / STEPS;
  return drawn < share ? UUID_MARK.sampled : UUID_MARK.none;
}

/** The id with the decision in it; anything that is no UUID stays as it is. */
export function markedId(id: string, mark: Mark): string {
  return UUID.test(id) ? `${id.slice(0, MARK_AT)}${mark}${id.slice(MARK_AT + 1)}` : id;
}
