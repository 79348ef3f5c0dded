// SPDX-License-Identifier: Apache-2.0
// What can be read between the two nodes: statements (a), (c) and (i).
import { PHRASE } from '../../playground/samples/catalog.ts';
import { type Captured, capture, type Packet } from '../harness/capture.ts';
import { eventually } from '../harness/eventually.ts';
import { type Check, expect, type Stage } from './check.ts';

const HBONE_PORT = 15008;
/** The first words of an HTTP/2 connection (RFC 9113 3.4), which a tunnel without TLS would show. */
const PREFACE = 'PRI * HTTP/2.0';

/** What crosses the link of the first node while each kind of traffic succeeds ten times. */
async function listen({ cluster, shop }: Stage): Promise<{ captured: Captured; between: Packet[] }> {
  const [node] = cluster.nodes;
  const addresses = new Set((await cluster.pods('shop')).flatMap((pod) => pod.ips));
  const running = await capture(node!.netns, node!.device, 'tcp');
  await shop.busy(10);
  const captured = await running.stop();
  const between = captured.packets.filter(
    ({ from, to, bytes }) => bytes > 0 && addresses.has(from) && addresses.has(to),
  );
  return { captured, between };
}

const isTunnel = ({ fromPort, toPort }: Packet): boolean => fromPort === HBONE_PORT || toPort === HBONE_PORT;

export const plainBefore: Check = {
  id: 'a',
  sentence: 'before, a capture between the nodes shows the requests in clear',
  run: async (stage) => {
    const { captured, between } = await listen(stage);
    expect(captured.contains(PHRASE), `"${PHRASE}" is not on the wire`);
    expect(!between.some(isTunnel), `somebody speaks on port ${HBONE_PORT} already`);
    return `"${PHRASE}" read in ${between.length} packets`;
  },
};

export const tunnelledAfter: Check = {
  id: 'c',
  sentence: 'once those have ended, the capture shows TLS on port 15008 only',
  run: async (stage) => {
    await stage.shop.reconnect();
    const { captured, between } = await listen(stage);
    expect(between.length > 0, 'nothing crossed the wire');
    const plain = between.filter((packet) => !isTunnel(packet));
    expect(plain.length === 0, `${plain.length} packets outside the tunnel, first ${JSON.stringify(plain[0])}`);
    expect(!captured.contains(PHRASE), `"${PHRASE}" is on the wire`);
    expect(!captured.contains(PREFACE), 'the tunnel is not encrypted');
    return `${between.length} packets, all on port ${HBONE_PORT}, none readable`;
  },
};

export const plainAgain: Check = {
  id: 'i',
  sentence: 'removing the label restores plain traffic',
  run: async (stage) => {
    await stage.cluster.kubectl('label', 'namespace', 'shop', 'istio.io/dataplane-mode-');
    await eventually('every pod to leave the mesh', async () =>
      (await stage.cluster.pods('shop')).every((pod) => pod.redirection === undefined),
    );
    await stage.shop.reconnect();
    // Connections of before have ended; the tunnels that carried them may still be saying goodbye.
    return await eventually('the tunnels to be gone', async () => {
      const { captured, between } = await listen(stage);
      expect(captured.contains(PHRASE), `"${PHRASE}" is not on the wire`);
      const tunnelled = between.filter(isTunnel);
      expect(
        tunnelled.length === 0,
        `${tunnelled.length} packets on port ${HBONE_PORT}, first ${JSON.stringify(tunnelled[0])}`,
      );
      return `"${PHRASE}" read in ${between.length} packets`;
    });
  },
};
