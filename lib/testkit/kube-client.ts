// SPDX-License-Identifier: Apache-2.0
// A client that talks to a FakeKubeApi, through a kubeconfig file as a program would.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import { FakeKubeApi } from './kube-api.ts';

export interface FakeCluster extends AsyncDisposable {
  readonly api: FakeKubeApi;
  readonly client: KubeClient;
  /** Path of a kubeconfig. */
  readonly kubeconfig: string;
}

/** Starts a fake API server and connects to it; disposing of it ends both. */
export async function fakeCluster(): Promise<FakeCluster> {
  const api = new FakeKubeApi();
  await api.start();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-kube-'));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig);
  const client = connectKube({ kubeconfig });
  return {
    api,
    client,
    kubeconfig,
    async [Symbol.asyncDispose]() {
      await client.close();
      await api[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}
