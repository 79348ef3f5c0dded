// SPDX-License-Identifier: Apache-2.0
// From a kubeconfig, or the pod's service account, to a client: the one line every program begins with.

import { KubeClient } from './client.ts';
import { type KubeConfigSource, KubeConfigTransport, loadKubeConfig, type OnDialled } from './transport.ts';

/** Makes a client; no request is sent yet. Throws KUBE_CONFIG when there is nothing to read. */
export function connectKube(source: KubeConfigSource = {}, onDialled?: OnDialled): KubeClient {
  return new KubeClient(new KubeConfigTransport(loadKubeConfig(source), onDialled));
}
