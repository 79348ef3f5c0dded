// SPDX-License-Identifier: Apache-2.0
// A mesh without Kubernetes, put together: a folder of files, what istiod itself wrote, and a client that takes both
// for a cluster.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { AmbitError, describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { KubeClient } from '#lib/kube/client.ts';
import type { ConfigMap } from '#lib/kube/object.ts';
import { SchemaChecker } from '#lib/model/validate/schema.ts';
import type { SourceHealth } from '../watch/source-health.ts';
import { FolderApi } from './api.ts';
import { FolderSource } from './folder.ts';
import { ObjectSet, type Written } from './objects.ts';

const STATE_FILE = 'state.json';
/** For machines to trust. */
const ROOT_FILE = 'root-cert.pem';

export interface FolderConnectionOptions {
  readonly folder: string;
  /** Where istiod keeps what it writes, its root key among it. */
  readonly stateFolder: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly health: SourceHealth;
}

/** Begins to read; requests wait for the first reading. Closing the client does not stop it: `stop` does. */
export function connectFolder(options: FolderConnectionOptions): { readonly client: KubeClient; stop(): void } {
  const { log, stateFolder } = options;
  let due = false;
  const keep = (): void => {
    due = false;
    try {
      saveState(stateFolder, objects.written);
    } catch (error) {
      log.error('what istiod wrote cannot be kept: its root of trust will be lost at the next start', {
        folder: stateFolder,
        error: describeError(error),
      });
    }
  };
  const objects = new ObjectSet(loadState(stateFolder), () => {
    // All writes of one turn are one file.
    if (!due) queueMicrotask(keep);
    due = true;
  });
  const source = new FolderSource({ ...options, objects, schemas: new SchemaChecker() });
  source.start();
  return { client: new KubeClient(new FolderApi(objects, () => source.ready)), stop: () => source.stop() };
}

/** What was kept by an earlier run; nothing when there was none. Throws when the file is damaged: it holds the root. */
function loadState(folder: string): Written {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let text: string;
  try {
    text = readFileSync(join(folder, STATE_FILE), 'utf8');
  } catch {
    return { objects: {}, statuses: {} };
  }
  try {
    return JSON.parse(text) as Written;
  } catch (cause) {
    throw new AmbitError('FILE_UNREADABLE', `${join(folder, STATE_FILE)} is damaged`, {
      cause,
      advice: 'put a copy of it back; without it a new root of trust is made, which no machine knows',
    });
  }
}

function saveState(folder: string, written: Written): void {
  replaceFile(join(folder, STATE_FILE), JSON.stringify(written), 0o600);
  const root = Object.entries(written.objects).find(
    ([place]) => place.startsWith('/configmaps ') && isRoot(place),
  )?.[1];
  const pem = (root as ConfigMap | undefined)?.data?.['root-cert.pem'];
  if (pem !== undefined) replaceFile(join(folder, ROOT_FILE), pem, 0o644);
}

function isRoot(place: string): boolean {
  return place.endsWith('/istio-ca-root-cert');
}

function replaceFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode, flush: true });
  renameSync(`${path}.new`, path);
}
