// SPDX-License-Identifier: Apache-2.0
// The authority in use, kept up to date while istiod runs: a root in the Secret is renewed before it ends, and what
// others write to the Secret, or put into the folder of a plugged-in authority, is taken over. What cannot be read is
// told and changes nothing: an authority that works is never given up for one that does not.

import { Authority, type AuthorityMaterial, renewRoot } from '#lib/identity/authority.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { Informer } from '#lib/kube/informer.ts';
import { SECRET } from '#lib/kube/kind.ts';
import type { Secret } from '#lib/kube/object.ts';
import { fromSecret, isOwnRoot, readFolder, withMaterial } from './root-store.ts';

/** How often the folder of a plugged-in authority is looked at: a mounted Secret changes without telling. */
const FOLDER_CHECK_MS = 5_000;

export interface RootKeeperOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly namespace: string;
  readonly folder: string;
  /** The authority came from the folder, not from the Secret. */
  readonly plugged: boolean;
  /** The Secret it came from, otherwise. */
  readonly secret: string;
  /** Life of a renewed root. */
  readonly ttlMs: number;
  readonly checkEveryMs: number;
  /** A root is renewed when less than this share of its life is left; 0 to 1. */
  readonly graceShare: number;
  /** Called after the authority in use has changed. */
  readonly onChange: (authority: Authority) => void;
}

export class RootKeeper {
  readonly #options: RootKeeperOptions;
  readonly #informer: Informer<Secret>;
  #authority: Authority;
  /** Changes are taken over one after the other. */
  #last: Promise<void> = Promise.resolve();

  constructor(authority: Authority, options: RootKeeperOptions) {
    this.#authority = authority;
    this.#options = options;
    const { client, clock, log, namespace, random, secret } = options;
    const selection = { namespace, fieldSelector: `metadata.name=${secret}` };
    this.#informer = new Informer<Secret>({ client, kind: SECRET, clock, random, log, selection });
  }

  get authority(): Authority {
    return this.#authority;
  }

  /** Until `signal` aborts. */
  start(signal: AbortSignal): void {
    if (this.#options.plugged) {
      void this.#every(FOLDER_CHECK_MS, signal, () => this.#readFolder());
      return;
    }
    this.#informer.subscribe((changes) => {
      for (const change of changes) if (change.op === 'set') void this.#take(async () => fromSecret(change.object));
    });
    this.#informer.start();
    signal.addEventListener('abort', () => this.#informer.stop(), { once: true });
    const { checkEveryMs, random } = this.#options;
    // Replicas look at different times, so that one renews and the others find it done.
    void this.#every(checkEveryMs * (0.5 + random() / 2), signal, () => this.renewWhenDue());
  }

  /** Renews the root when its time has come; true when it did. */
  async renewWhenDue(): Promise<boolean> {
    const { client, clock, graceShare, log, namespace, secret: name, ttlMs } = this.#options;
    const authority = this.#authority;
    const { isRoot, notAfter, notBefore } = authority;
    const now = clock.now();
    if (!isRoot || notAfter - now > (notAfter - notBefore) * graceShare) return false;
    const secret = await client.get(SECRET, { namespace, name });
    // An operator's root is the operator's to renew.
    if (secret === undefined || !isOwnRoot(secret)) return false;
    // Somebody else's root, or one renewed already, is on its way here by the watch.
    if (fromSecret(secret).certificatePem !== authority.material.certificatePem) return false;
    const renewed = await renewRoot(authority.material, { now, ttlMs });
    try {
      await client.update(SECRET, withMaterial(secret, renewed));
    } catch (error) {
      if (isKubeError(error, 'KUBE_CONFLICT')) return false;
      throw error;
    }
    log.info('renewed the root certificate', { secret: `${namespace}/${name}` });
    await this.#take(async () => renewed);
    return true;
  }

  async #readFolder(): Promise<void> {
    await this.#take(() => readFolder(this.#options.folder));
  }

  #take(read: () => Promise<AuthorityMaterial | undefined>): Promise<void> {
    const { log, onChange } = this.#options;
    this.#last = this.#last.then(async () => {
      try {
        const material = await read();
        if (material === undefined || same(material, this.#authority.material)) return;
        this.#authority = await Authority.load(material);
        log.info('the certificate authority has changed', {
          notAfter: new Date(this.#authority.notAfter).toISOString(),
        });
        onChange(this.#authority);
      } catch (error) {
        log.error('a new certificate authority cannot be used; the old one stays', { error: describeError(error) });
      }
    });
    return this.#last;
  }

  async #every(ms: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    const { clock, log } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(ms, signal).catch(() => undefined);
      if (signal.aborted) return;
      await work().catch((error: unknown) => log.warn('cannot check the root', { error: describeError(error) }));
    }
  }
}

function same(a: AuthorityMaterial, b: AuthorityMaterial): boolean {
  return (
    a.certificatePem === b.certificatePem &&
    a.keyPem === b.keyPem &&
    a.chainPem === b.chainPem &&
    a.rootPem === b.rootPem
  );
}
