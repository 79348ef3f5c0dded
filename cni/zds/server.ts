// SPDX-License-Identifier: Apache-2.0
// The ZDS socket that node proxies connect to. Each new proxy first gets a snapshot of all pods; an addition goes to the
// newest proxy, a deletion to all: during an upgrade two are connected, and the older one only drains.

import { create } from '@bufbuild/protobuf';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { close } from '#lib/linux/calls.ts';
import { unixAccept, unixListen } from '#lib/linux/unix.ts';
import type { FdWatch, Watcher } from '#lib/loop/fd-watch.ts';
import { AddWorkloadSchema, DelWorkloadSchema, KeepWorkloadSchema, SnapshotSentSchema } from '#lib/proto/gen/zds_pb.ts';
import { ZdsConnection } from './connection.ts';

/** A pod as the node proxy has to know it. */
export interface ZdsPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Descriptor of its network namespace; unknown after a restart of the agent until it is found again. */
  readonly netnsFd: number | undefined;
}

export interface ZdsServerOptions {
  readonly path: string;
  /** The pods that are enrolled now, for a proxy's snapshot. */
  readonly pods: () => Iterable<ZdsPod>;
  readonly watch: FdWatch;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told how many proxies are connected, whenever that changes. */
  readonly onConnections: (count: number) => void;
  /** A proxy has its snapshot: what it refused or was missed can be offered again. */
  readonly onSnapshot: () => void;
}

export class ZdsServer implements Watcher {
  fd = -1;
  readonly #options: ZdsServerOptions;
  /** Oldest first. */
  readonly #connections: ZdsConnection[] = [];

  constructor(options: ZdsServerOptions) {
    this.#options = options;
  }

  /** Listens; throws when the socket cannot be made. */
  start(): void {
    this.fd = unixListen(this.#options.path);
    this.#options.watch.add(this);
  }

  close(): void {
    if (this.fd < 0) return;
    this.#options.watch.remove(this);
    close(this.fd);
    this.fd = -1;
    for (const connection of [...this.#connections]) connection.close('the agent is stopping');
  }

  get connected(): number {
    return this.#connections.length;
  }

  /** Announces a pod to the newest proxy. Rejects with ZDS_NO_PROXY, ZDS_REFUSED or ZDS_LOST: the pod is not served then. */
  async add(pod: ZdsPod): Promise<void> {
    const newest = this.#connections.at(-1);
    if (newest === undefined) {
      throw new AmbitError('ZDS_NO_PROXY', 'no ztunnel connection', {
        advice: 'is ztunnel running on this node? the pod is retried when it connects',
      });
    }
    await announce(newest, pod);
  }

  /** Withdraws a pod from every proxy; a proxy that is gone has withdrawn it already. */
  async delete(uid: string): Promise<void> {
    const value = create(DelWorkloadSchema, { uid });
    await Promise.allSettled(this.#connections.map((connection) => connection.ask({ case: 'del', value })));
  }

  wantsWrite(): boolean {
    return false;
  }

  onFdReady(): void {
    const { watch, clock, log, onConnections } = this.#options;
    for (let fd = unixAccept(this.fd); fd >= 0; fd = unixAccept(this.fd)) {
      new ZdsConnection(fd, {
        watch,
        clock,
        onHello: (connection) => {
          this.#connections.push(connection);
          log.info('a node proxy connected', { connected: this.#connections.length });
          onConnections(this.#connections.length);
          void this.#snapshot(connection);
        },
        onClosed: (connection, reason) => {
          const at = this.#connections.indexOf(connection);
          if (at === -1) return;
          this.#connections.splice(at, 1);
          log.warn('a node proxy went away; its pods stay captured', { reason, connected: this.#connections.length });
          onConnections(this.#connections.length);
        },
      });
    }
  }

  /** A pod that the proxy refuses does not keep the others from it. */
  async #snapshot(connection: ZdsConnection): Promise<void> {
    const { pods, log, onSnapshot } = this.#options;
    const offered = [...pods()].map((pod) =>
      announce(connection, pod).catch((error: unknown) => {
        log.warn('a pod of the snapshot was not taken', {
          pod: `${pod.namespace}/${pod.name}`,
          error: describeError(error),
        });
      }),
    );
    const done = connection.ask({ case: 'snapshotSent', value: create(SnapshotSentSchema) });
    await Promise.all(offered);
    await done.then(onSnapshot, (error: unknown) =>
      log.warn('a snapshot was not completed', { error: describeError(error) }),
    );
  }
}

function announce(connection: ZdsConnection, { uid, name, namespace, serviceAccount, netnsFd }: ZdsPod): Promise<void> {
  if (netnsFd === undefined) return connection.ask({ case: 'keep', value: create(KeepWorkloadSchema, { uid }) });
  const workloadInfo = { name, namespace, serviceAccount };
  return connection.ask({ case: 'add', value: create(AddWorkloadSchema, { uid, workloadInfo }) }, netnsFd);
}
