// SPDX-License-Identifier: Apache-2.0
// Who may open an xDS stream: a caller with a valid token whose node lies in its own namespace and runs as its own
// account. So a pod's token is of no use to read the configuration meant for another.

import { status as Code } from '@grpc/grpc-js';
import { parseNodeId } from '#lib/xds/node.ts';
import type { Admission, Caller as StreamCaller } from '#lib/xds/server.ts';
import type { Authenticator } from './authenticate.ts';
import type { Caller } from './caller.ts';
import { credentialsOf } from './credentials.ts';

const NODE_TYPES: ReadonlySet<string> = new Set(['ztunnel', 'waypoint', 'router', 'sidecar', 'agentgateway']);

export interface AdmissionOptions {
  readonly authenticator: Authenticator;
  readonly authenticate: boolean;
  readonly authenticatePlaintext: boolean;
  readonly checkNodeIdentity: boolean;
}

/** Decides about a stream once its first request is in. */
export async function admitStream(call: StreamCaller, options: AdmissionOptions): Promise<Admission> {
  const { id, metadata } = call.peer;
  const node = parseNodeId(id);
  if (node === undefined || !NODE_TYPES.has(node.type)) {
    const reason = `node id ${JSON.stringify(id)} is not <type>~<ip>~<name>.<namespace>~<domain> with a known type`;
    return { ok: false, code: Code.INVALID_ARGUMENT, reason };
  }
  if (!(call.port === 'tls' ? options.authenticate : options.authenticatePlaintext)) return { ok: true, identity: '' };
  const result = await options.authenticator.authenticate(credentialsOf(call.metadata, call.certificate, call.remote));
  switch (result.kind) {
    case 'unavailable':
      return { ok: false, code: Code.UNAVAILABLE, reason: result.reason };
    case 'unknown':
      return { ok: false, code: Code.UNAUTHENTICATED, reason: result.reason };
    case 'known': {
      const text = (key: string): string | undefined => {
        const value = metadata[key];
        return typeof value === 'string' && value !== '' ? value : undefined;
      };
      const namespace = text('NAMESPACE') ?? node.namespace;
      const reason = options.checkNodeIdentity
        ? mismatch(result.caller, namespace, text('SERVICE_ACCOUNT'))
        : undefined;
      if (reason === undefined) return { ok: true, identity: result.caller.identity.uri };
      return { ok: false, code: Code.PERMISSION_DENIED, reason: `node ${id}: ${reason}` };
    }
  }
}

/** Why the node is not the caller's, or undefined when it is. */
export function mismatch(caller: Caller, namespace: string, serviceAccount: string | undefined): string | undefined {
  const { identity } = caller;
  if (identity.namespace !== namespace) {
    return `the caller ${identity.uri} is not of the node's namespace ${JSON.stringify(namespace)}`;
  }
  if (serviceAccount !== undefined && identity.serviceAccount !== serviceAccount) {
    return `the caller ${identity.uri} does not run as the node's service account ${JSON.stringify(serviceAccount)}`;
  }
  return undefined;
}
