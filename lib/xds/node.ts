// SPDX-License-Identifier: Apache-2.0
// Who a client says it is: the node id's four parts and the metadata (facts of Istio's xDS, node id grammar).

import { create, type JsonObject } from '@bufbuild/protobuf';
import { type Node, NodeSchema } from '#lib/proto/gen/discovery_pb.ts';

export interface NodeIdentity {
  /** `ztunnel`, `waypoint`, `sidecar`, `router`. */
  readonly type: string;
  readonly ip: string;
  readonly name: string;
  readonly namespace: string;
}

/** `<type>~<ip>~<name>.<namespace>~<namespace>.svc.<domain>`, with metadata beside it. */
export function makeNode(identity: NodeIdentity, domain: string, metadata: JsonObject): Node {
  const { type, ip, name, namespace } = identity;
  return create(NodeSchema, {
    id: `${type}~${ip}~${name}.${namespace}~${namespace}.svc.${domain}`,
    metadata: { NAME: name, NAMESPACE: namespace, INSTANCE_IPS: ip, ...metadata },
  });
}

/** The parts of a node id, or undefined when it is none. A pod's name may contain dots, its namespace may not. */
export function parseNodeId(id: string): NodeIdentity | undefined {
  const [type, ip, full, domain] = id.split('~');
  if (type === undefined || ip === undefined || full === undefined || domain === undefined || type === '')
    return undefined;
  const dot = full.lastIndexOf('.');
  if (dot <= 0 || dot === full.length - 1) return undefined;
  return { type, ip, name: full.slice(0, dot), namespace: full.slice(dot + 1) };
}
