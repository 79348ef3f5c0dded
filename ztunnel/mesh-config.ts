// SPDX-License-Identifier: Apache-2.0
// The two YAML texts that Istio's charts may hand a node proxy beside its environment: PROXY_CONFIG, and the mesh file's
// `defaultConfig`. The environment wins over both, PROXY_CONFIG over the file.
import { parse } from 'yaml';
import type { ConfigReader } from '#lib/kit/config.ts';
import { describeError } from '#lib/kit/error.ts';
import type { ProbeSettings } from './health/prober.ts';
import { probeSettings } from './health/settings.ts';

export interface MeshFileSettings {
  readonly discoveryAddress: string | undefined;
  readonly proxyAdminPort: number | undefined;
  readonly statsPort: number | undefined;
  readonly concurrency: number | undefined;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** How the application of a machine is probed. */
  readonly probe: ProbeSettings | undefined;
}

const DEFAULT_MESH_FILE = './etc/istio/config/mesh';

export function readMeshSettings(read: ConfigReader, readFile: (path: string) => string | undefined): MeshFileSettings {
  const path = read.string('AMBIT_MESH_FILE', DEFAULT_MESH_FILE);
  const file = yamlObject(read, path, readFile(path))['defaultConfig'];
  const merged = {
    ...(isObject(file) ? file : {}),
    ...yamlObject(read, 'PROXY_CONFIG', read.optional('PROXY_CONFIG')),
  };
  const port = (name: string): number | undefined => {
    const value = merged[name];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
    read.problem(`PROXY_CONFIG ${name}`, `${JSON.stringify(value)} is no number`, 'write a number');
    return undefined;
  };
  const metadata = merged['proxyMetadata'];
  return {
    discoveryAddress: typeof merged['discoveryAddress'] === 'string' ? merged['discoveryAddress'] : undefined,
    proxyAdminPort: port('proxyAdminPort'),
    statsPort: port('statsPort'),
    concurrency: port('concurrency'),
    proxyMetadata: Object.fromEntries(
      Object.entries(isObject(metadata) ? metadata : {}).map(([key, value]) => [
        key.replace(/^ISTIO_META_/, ''),
        String(value),
      ]),
    ),
    probe: probeSettings(read, merged['readinessProbe']),
  };
}

function yamlObject(read: ConfigReader, name: string, text: string | undefined): Record<string, unknown> {
  if (text === undefined || text.trim() === '') return {};
  try {
    const value: unknown = parse(text);
    if (isObject(value)) return value;
    read.problem(name, 'holds no YAML mapping', 'write key: value lines');
  } catch (error) {
    read.problem(name, `is no YAML: ${describeError(error)}`);
  }
  return {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
