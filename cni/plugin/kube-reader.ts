// SPDX-License-Identifier: Apache-2.0
// Two reads from the Kubernetes API, with nothing but Node: the plugin runs once for every pod of the node, and must
// not spend longer loading a client than asking. Reads the kubeconfig that the installer wrote, which is JSON.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

export const KUBECONFIG_NAME = 'istio-cni-kubeconfig';
const ANSWER_WITHIN_MS = 5000;

interface KubeAccess {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
}

export interface LabelledObject {
  readonly metadata: { readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec?: { readonly hostNetwork?: boolean };
}

/** Throws CNI_KUBECONFIG when the file is missing or not ours. */
export function readAccess(runDir: string): KubeAccess {
  const path = join(runDir, KUBECONFIG_NAME);
  try {
    const config = JSON.parse(readFileSync(path, 'utf8')) as {
      clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }];
      users: [{ user: { token: string } }];
    };
    const { server, 'certificate-authority-data': ca } = config.clusters[0].cluster;
    return { server, ca: Buffer.from(ca, 'base64').toString('utf8'), token: config.users[0].user.token };
  } catch (cause) {
    throw new AmbitError('CNI_KUBECONFIG', `cannot read ${path}`, {
      cause,
      advice: 'is the node agent running on this node?',
    });
  }
}

/** GET of one object by path. Throws CNI_API with the status, or why there was none. */
export function readObject({ server, ca, token }: KubeAccess, path: string): Promise<LabelledObject> {
  return new Promise((resolve, reject) => {
    const refuse = (message: string, cause?: unknown): void =>
      reject(
        new AmbitError('CNI_API', `GET ${server}${path}: ${message}`, {
          cause,
          advice: 'may the service account istio-cni read pods and namespaces?',
        }),
      );
    const asked = request(
      new URL(path, server),
      { ca, headers: { authorization: `Bearer ${token}`, accept: 'application/json' }, timeout: ANSWER_WITHIN_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          if (response.statusCode !== 200) return refuse(`status ${response.statusCode}`);
          resolve(JSON.parse(text) as LabelledObject);
        });
        response.on('error', (error) => refuse(error.message, error));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    asked.on('error', (error) => refuse(error.message, error));
    asked.end();
  });
}
