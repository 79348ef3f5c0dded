// SPDX-License-Identifier: Apache-2.0
// The control plane may go away: statement (h).
import { eventually } from '../harness/eventually.ts';
import { type Check, expect } from './check.ts';

export const controlPlaneRestart: Check = {
  id: 'h',
  sentence: 'killing and restarting istiod disturbs no connection',
  run: async ({ cluster, shop }) => {
    const [before] = await cluster.pods('istio-system', 'app=istiod');
    const requests = await shop.undisturbed(async () => {
      await cluster.kubectl('delete', 'pod', '-n', 'istio-system', '-l', 'app=istiod', '--grace-period=0', '--force');
      await eventually('another istiod to be ready', async () =>
        (await cluster.pods('istio-system', 'app=istiod')).some((pod) => pod.ready && pod.uid !== before?.uid),
      );
      await shop.busy(20);
    });
    expect(requests > 0, 'no request was made');
    return `${requests} requests meanwhile, none failed`;
  },
};
