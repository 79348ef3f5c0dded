// SPDX-License-Identifier: Apache-2.0
// A node agent that knows its pods from the start: it listens, tells the proxy of each pod with its network namespace,
// says that this was all, and then keeps silent. For a proxy in shared mode without a cluster around it.
import { closeSync, openSync } from 'node:fs';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Arena } from '#lib/linux/arena.ts';
import { receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { unixAccept, unixListen } from '#lib/linux/unix.ts';
import { Version, WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from '#lib/proto/gen/zds_pb.ts';
import { eventually } from '../harness/eventually.ts';

/** Both ends of the protocol read with this much room. */
const ROOM = 1024;
const PATIENCE = { withinMs: 20_000, everyMs: 5 };

/** A pod as the agent knows it. */
export interface KnownPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Name under /run/netns. */
  readonly netns: string;
}

/** The agent's end; `announce` waits for a proxy and tells it of the pods. */
export class NodeAgent implements Disposable {
  readonly #arena = Arena.allocate(ROOM);
  readonly #listener: number;
  readonly #open: number[] = [];

  /** Listens at `path`. */
  constructor(path: string) {
    this.#listener = unixListen(path);
    this.#open.push(this.#listener);
  }

  /** Resolves once the proxy has acknowledged all of them; the connection stays. Throws what the proxy answered. */
  async announce(pods: readonly KnownPod[]): Promise<void> {
    const fd = await this.#accept();
    const hello = fromBinary(ZdsHelloSchema, await this.#read(fd));
    if (hello.version !== Version.V1) throw new Error(`ZDS: the proxy speaks version ${hello.version}`);
    for (const { uid, name, namespace, serviceAccount, netns } of pods) {
      const handle = openSync(`/run/netns/${netns}`, 'r');
      try {
        const workloadInfo = { name, namespace, serviceAccount };
        await this.#tell(fd, { payload: { case: 'add', value: { uid, workloadInfo } } }, [handle]);
      } finally {
        closeSync(handle);
      }
    }
    await this.#tell(fd, { payload: { case: 'snapshotSent', value: {} } }, []);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open.splice(0)) closeSync(fd);
  }

  async #accept(): Promise<number> {
    const accept = (): number | undefined => {
      const got = unixAccept(this.#listener);
      return got < 0 ? undefined : got;
    };
    const fd = await eventually('the proxy to ask for its pods', accept, PATIENCE);
    this.#open.push(fd);
    return fd;
  }

  async #read(fd: number): Promise<Buffer> {
    const length = await eventually(
      'an answer of the proxy',
      () => {
        const got = receiveMessage(fd, this.#arena, 0, ROOM);
        return got < 0 ? undefined : got + 1; // 0 is an answer, too
      },
      PATIENCE,
    );
    return Buffer.from(this.#arena.bytes.subarray(0, length - 1));
  }

  async #tell(fd: number, request: MessageInitShape<typeof WorkloadRequestSchema>, fds: number[]): Promise<void> {
    const bytes = toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, request));
    this.#arena.bytes.set(bytes);
    if (sendMessage(fd, this.#arena, 0, bytes.length, fds) !== bytes.length) throw new Error('ZDS: cannot send');
    const { payload } = fromBinary(WorkloadResponseSchema, await this.#read(fd));
    if (payload.case !== 'ack' || payload.value.error !== '')
      throw new Error(`ZDS: the proxy refuses: ${payload.case === 'ack' ? payload.value.error : 'no ack'}`);
  }
}
