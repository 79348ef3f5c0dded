// SPDX-License-Identifier: Apache-2.0
// The settings that every proxy of ours reads, under Istio's names where Istio has them; ours begin with AMBIT_.
import type { ConfigReader } from '#lib/kit/config.ts';
import type { ServerSettings } from './source/server-access.ts';

/** What settings come from; tests give maps. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of a file, undefined when there is none. */
  readonly readFile: (path: string) => string | undefined;
  readonly cores: number;
  /** Of this program, told to the control plane unless the environment says another. */
  readonly version?: string;
}

/** What every proxy is told. */
export interface ProxySettings {
  readonly xds: ServerSettings | undefined;
  readonly ca: ServerSettings;
  readonly fakeCa: boolean;
  /** File with the token for both servers, or the token itself; '' sends none. */
  readonly authToken: string;
  readonly secretTtlMs: number;
  /** Told to the control plane of this proxy. */
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  readonly workers: number;
  readonly drainMs: number;
  readonly admin: { readonly port: number; readonly statsPort: number; readonly readyPort: number };
  readonly storeBytes: number;
  readonly storeRecords: number;
}

const TOKEN_FILE = 'var/run/secrets/tokens/istio-token';
const ROOT_FILE = 'var/run/secrets/istio/root-cert.pem';

/** `folder` is where Istio's charts mount secrets: `/`, or `./` for a proxy that is started there. */
export function certificateSettings(
  read: ConfigReader,
  { readFile }: World,
  folder: '/' | './',
): Pick<ProxySettings, 'authToken' | 'fakeCa' | 'secretTtlMs'> {
  const token = folder + TOKEN_FILE;
  return {
    fakeCa: read.boolean('FAKE_CA', false),
    authToken: read.optional('AUTH_TOKEN') ?? (readFile(token) === undefined ? '' : token),
    secretTtlMs: read.istioDuration('SECRET_TTL', 86_400_000),
  };
}

/** Size of the memory that data-plane processes share. */
export function storeSettings(read: ConfigReader): Pick<ProxySettings, 'storeBytes' | 'storeRecords'> {
  return {
    storeBytes: read.integer('AMBIT_STORE_BYTES', 256 << 20, { min: 1 << 20, max: 0x7f000000 }),
    storeRecords: read.integer('AMBIT_STORE_RECORDS', 400_000, { min: 1000, max: 8_000_000 }),
  };
}

/** What each data-plane process may hold; null derives the connections from the descriptor limit. */
export function loadLimits(read: ConfigReader): {
  readonly byteBudget: number;
  readonly maxConnections: number | null;
} {
  return {
    byteBudget: read.integer('AMBIT_BYTE_BUDGET', 256 << 20, { min: 16 << 20 }),
    maxConnections: read.optional('AMBIT_MAX_CONNECTIONS')
      ? read.integer('AMBIT_MAX_CONNECTIONS', 10_000, { min: 1 })
      : null,
  };
}

/** One server of the control plane; undefined for an empty address, or one that is noted as a problem. */
export function serverSettings(
  read: ConfigReader,
  { env }: World,
  kind: 'XDS' | 'CA',
  address: string,
  folder: '/' | './',
): ServerSettings | undefined {
  if (address === '') return undefined;
  const text = address.includes('://') ? address : `https://${address}`;
  if (!URL.canParse(text)) {
    read.problem(
      `${kind}_ADDRESS`,
      `${JSON.stringify(address)} is no address`,
      'write for example https://istiod.istio-system.svc:15012',
    );
    return undefined;
  }
  const prefix = `${kind}_HEADER_`;
  const headers = Object.entries(env).flatMap(([key, value]) =>
    key.startsWith(prefix) && value !== undefined ? [[key.slice(prefix.length).toLowerCase(), value]] : [],
  );
  return {
    url: new URL(text),
    rootCa: read.string(`${kind}_ROOT_CA`, folder + ROOT_FILE),
    alternativeName: read.optional(`ALT_${kind}_HOSTNAME`),
    headers: Object.fromEntries(headers),
  };
}

/** A server that is never asked, where none is named. */
export function noServer(address: string): ServerSettings {
  return { url: new URL(address), rootCa: '', alternativeName: undefined, headers: {} };
}

/** Everything under ISTIO_META_ and ISTIO_METAJSON_. */
export function nodeMetadata(read: ConfigReader, { env }: World): Record<string, unknown> {
  const metadata: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (key.startsWith('ISTIO_META_')) metadata[key.slice('ISTIO_META_'.length)] = value;
    else if (key.startsWith('ISTIO_METAJSON_')) {
      try {
        metadata[key.slice('ISTIO_METAJSON_'.length)] = JSON.parse(value);
      } catch {
        read.problem(key, 'is no JSON', 'write a JSON value');
      }
    }
  }
  return metadata;
}

/** Settings as the start line and `/config_dump` show them; tokens and headers may be secrets and are left out. */
export function printable(settings: ProxySettings): Record<string, unknown> {
  const { authToken, ca, fakeCa, xds } = settings;
  return {
    ...settings,
    authToken: authToken === '' ? null : 'set',
    xds: xds?.url.href ?? null,
    ca: fakeCa ? 'FAKE_CA' : ca.url.href,
  };
}
