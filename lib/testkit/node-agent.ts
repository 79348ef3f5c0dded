// SPDX-License-Identifier: Apache-2.0
// Plays the node agent towards a node proxy: listens on a socket of its own and speaks ZDS, well or badly as the test wants.
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Arena } from '#lib/linux/arena.ts';
import { close } from '#lib/linux/calls.ts';
import { receiveMessage, sendMessage } from '#lib/linux/message.ts';
import { unixAccept, unixListen } from '#lib/linux/unix.ts';
import { WorkloadRequestSchema, WorkloadResponseSchema, ZdsHelloSchema } from '#lib/proto/gen/zds_pb.ts';
import { until } from './until.ts';

export type ZdsPayload = NonNullable<MessageInitShape<typeof WorkloadRequestSchema>['payload']>;

export interface AnnouncedPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const arena = Arena.allocate(4096);
const MAX_BYTES = 1024;

export class NodeAgent implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'ambit-agent-'));
  /** For INPOD_UDS. */
  readonly path = join(this.#folder, 'zds.sock');
  readonly #listener = unixListen(this.path);
  #fd = -1;

  /** Takes the proxy's next connection and hears its hello. */
  async accept(deadlineMs?: number): Promise<void> {
    await until(
      'the proxy connects to the node agent',
      () => {
        this.#fd = unixAccept(this.#listener);
        return this.#fd >= 0;
      },
      deadlineMs,
    );
    const { version } = fromBinary(ZdsHelloSchema, await this.#receive());
    if (version !== 1) throw new Error(`hello of version ${version}`);
  }

  /**
   * What an agent says to a proxy that starts: every pod with its namespace, by its name below /run/netns, and that this was all. Throws
   * what the proxy refused.
   */
  async announce(pods: readonly (AnnouncedPod & { readonly netns: string })[], deadlineMs?: number): Promise<void> {
    await this.accept(deadlineMs);
    for (const { netns, ...pod } of pods) {
      const fd = openSync(`/run/netns/${netns}`, 'r');
      try {
        const refused = await this.add(pod, fd);
        if (refused !== '') throw new Error(`the proxy refuses pod ${pod.name}: ${refused}`);
      } finally {
        closeSync(fd);
      }
    }
    await this.snapshot();
  }

  /** Announces a pod with the namespace behind `netnsFd`, which stays the caller's; resolves with the error of the ack. */
  add({ uid, ...workloadInfo }: AnnouncedPod, netnsFd: number): Promise<string> {
    return this.ask({ case: 'add', value: { uid, workloadInfo } }, [netnsFd]);
  }

  snapshot(): Promise<string> {
    return this.ask({ case: 'snapshotSent', value: {} });
  }

  /** Sends one request and resolves with the error of its ack. */
  ask(payload: ZdsPayload, fds: readonly number[] = []): Promise<string> {
    this.send(toBinary(WorkloadRequestSchema, create(WorkloadRequestSchema, { payload })), fds);
    return this.ack();
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    arena.bytes.set(bytes);
    const n = sendMessage(this.#fd, arena, 0, bytes.length, fds);
    if (n !== bytes.length) throw new Error(`sending to the proxy: ${n}`);
  }

  async ack(): Promise<string> {
    const { payload } = fromBinary(WorkloadResponseSchema, await this.#receive());
    if (payload.case !== 'ack') throw new Error('no ack');
    return payload.value.error;
  }

  /** Resolves when the proxy has closed the connection. */
  async ended(): Promise<void> {
    await until('the proxy closes the connection', () => receiveMessage(this.#fd, arena, 0, MAX_BYTES) === 0);
    this.hangUp();
  }

  hangUp(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.hangUp();
    close(this.#listener);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #receive(): Promise<Uint8Array> {
    let n = -1;
    await until('a message of the proxy', () => {
      n = receiveMessage(this.#fd, arena, 0, MAX_BYTES);
      return n >= 0;
    });
    return arena.bytes.subarray(0, n);
  }
}
