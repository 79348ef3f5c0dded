// SPDX-License-Identifier: Apache-2.0
// The body of `/config_dump`: the mesh in the shapes of a node proxy's dump, layer-7 values as they are but for private keys.
import type { SecretManager } from '#lib/identity/secret-manager.ts';
import { dumpService, dumpWorkload } from '#lib/proxy/admin/dump.ts';
import type { HeldAddress } from '#lib/proxy/control.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { L7State } from '../source/l7-state.ts';

export interface DumpParts {
  readonly mesh: MeshState;
  readonly l7: L7State;
  readonly secrets: ReturnType<SecretManager['states']>;
  readonly listening: ReadonlyMap<string, number>;
  /** Addresses whose connections for tunnels have to wait. */
  readonly held: readonly HeldAddress[];
  readonly config: Record<string, unknown>;
  readonly version: string;
}

export function configDump({ config, held, l7, listening, mesh, secrets, version }: DumpParts): unknown {
  const layer7 = Object.fromEntries(
    l7.types.map(({ typeUrl }) => [
      typeUrl.slice(typeUrl.lastIndexOf('.') + 1),
      withoutKeys([...l7.values(typeUrl).values()]),
    ]),
  );
  return {
    workloads: [...mesh.mesh.workloads()].map(dumpWorkload),
    services: [...mesh.mesh.services()].map((service) => dumpService(service, mesh.mesh.endpoints(service))),
    ...layer7,
    listening: Object.fromEntries(listening),
    heldAddresses: held,
    certificates: [...secrets].map(([identity, { kind }]) => ({ identity, state: kind })),
    config,
    version,
  };
}

/** Bytes as base64, those of private keys not at all. */
export function withoutKeys(value: unknown, name = ''): unknown {
  if (value instanceof Uint8Array) {
    const secret = value.length > 0 && (name === 'key' || name === 'privateKey');
    return secret ? 'not shown' : Buffer.from(value).toString('base64');
  }
  if (Array.isArray(value)) return value.map((one) => withoutKeys(one));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutKeys(one, key)]));
}
