// SPDX-License-Identifier: Apache-2.0
// The API server of the control plane's bench, as a process of its own: it lists and watches a mesh of the size it is
// told, and changes pods when the parent says so. It answers with what it did and when (monotonic ns, the same clock
// in all processes of a machine).
import { writeFileSync } from 'node:fs';
import { FakeKubeApi } from '#lib/testkit/kube-api.ts';
import { objectsOf, podObject, SIZES } from './istiod-mesh.ts';

/** What the parent may ask. */
export type FeedOrder =
  | { readonly kind: 'change' }
  | { readonly kind: 'flow'; readonly perSecond: number; readonly seconds: number };

export type FeedNote =
  | { readonly kind: 'ready' }
  | { readonly kind: 'changed'; readonly sequence: number; readonly atNs: string }
  | { readonly kind: 'flowed'; readonly last: number; readonly behindMs: number };

const TICK_MS = 10;
const [sizeName, kubeconfig] = process.argv.slice(2);
const size = SIZES.find(({ name }) => name === sizeName);
if (size === undefined || kubeconfig === undefined) throw new Error('istiod-feed.ts SIZE KUBECONFIG');

const api = new FakeKubeApi();
for (const [collection, object] of objectsOf(size)) api.put(collection, object);
await api.start();
writeFileSync(kubeconfig, api.kubeconfig);
tell({ kind: 'ready' });

let sequence = 0;
/** Steps through the pods so that neighbours in time are strangers in the mesh. */
const STRIDE = 7919;

function change(): number {
  sequence++;
  api.put('/api/v1/pods', podObject(size!, (sequence * STRIDE) % size!.pods, sequence));
  return sequence;
}

async function flow(perSecond: number, seconds: number): Promise<void> {
  const start = performance.now();
  const total = perSecond * seconds;
  for (let done = 0; done < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - start) * perSecond) / 1000));
    while (done < due) {
      change();
      done++;
      // The clients look for every hundredth change, and want to know when it was made.
      if (sequence % 100 === 0) tell({ kind: 'changed', sequence, atNs: String(process.hrtime.bigint()) });
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  tell({ kind: 'flowed', last: sequence, behindMs: performance.now() - start - seconds * 1000 });
}

process.on('message', (order: FeedOrder) => {
  if (order.kind === 'flow') void flow(order.perSecond, order.seconds);
  else {
    const atNs = String(process.hrtime.bigint());
    tell({ kind: 'changed', sequence: change(), atNs });
  }
});
process.on('disconnect', () => process.exit());

function tell(note: FeedNote): void {
  process.send!(note);
}
