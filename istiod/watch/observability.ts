// SPDX-License-Identifier: Apache-2.0
// What the mesh's settings say of access logs, traces and proxies: the defaults that Telemetry and ProxyConfig objects refine.
import { parseLogFormat } from '#lib/mesh/http/log-format.ts';
import { readProxyValues } from '#lib/model/gateway/proxy-config.ts';
import { readProxyHeaders } from '#lib/model/gateway/proxy-headers.ts';
import type { MeshSettings } from '#lib/model/mesh-settings.ts';
import type { CustomTagSpec } from '#lib/model/telemetry/telemetry-spec.ts';

type Fields = Readonly<Record<string, unknown>>;
type Complain = (field: string, message: string, fix: string) => void;

export type Observability = Pick<MeshSettings, 'accessLog' | 'defaultProviders' | 'tracing' | 'proxy' | 'proxyHeaders'>;

/** Each problem is complained of; what has one stays at its default. */
export function readObservability(settings: Fields, defaults: Observability, complain: Complain): Observability {
  const defaultConfig = mapOf(settings['defaultConfig']);
  return {
    accessLog: readAccessLog(settings, complain),
    defaultProviders: readDefaultProviders(settings['defaultProviders'], complain),
    tracing: readTracing(mapOf(defaultConfig['tracing']), defaults.tracing, complain),
    proxy: readProxyValues(defaultConfig),
    proxyHeaders: readProxyHeaders(defaultConfig['proxyHeaders'], (field, message, fix) =>
      complain(`defaultConfig.${field}`, message, fix),
    ),
  };
}

function readAccessLog(settings: Fields, complain: Complain): MeshSettings['accessLog'] {
  const { accessLogEncoding = 'TEXT', accessLogFile = '', accessLogFormat = '' } = settings;
  if (accessLogEncoding !== 'TEXT' && accessLogEncoding !== 'JSON') {
    complain('accessLogEncoding', `${JSON.stringify(accessLogEncoding)} is no encoding`, 'write TEXT or JSON');
  }
  if (typeof accessLogFile !== 'string' || (accessLogFile !== '' && !accessLogFile.startsWith('/'))) {
    complain('accessLogFile', `${JSON.stringify(accessLogFile)} is no path`, 'write for example /dev/stdout');
  }
  const json = accessLogEncoding === 'JSON';
  const format = String(accessLogFormat);
  if (!json || format === '') {
    for (const problem of parseLogFormat(format).problems) complainOfFormat('accessLogFormat', problem, complain);
    return { file: String(accessLogFile), format, json, jsonFields: {} };
  }
  return { file: String(accessLogFile), format: '', json, jsonFields: readJsonFields(format, complain) };
}

/** A JSON object of formats, as text. */
function readJsonFields(text: string, complain: Complain): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    complain('accessLogFormat', 'is no JSON object', 'write {"path": "%REQ(:PATH)%"} or set accessLogEncoding: TEXT');
    return {};
  }
  return formatsOf(value as Fields, 'accessLogFormat', complain);
}

/** Fields of a JSON line: each is a text with commands. */
export function formatsOf(fields: Fields, at: string, complain: Complain): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, format]) => {
      for (const problem of parseLogFormat(String(format)).problems)
        complainOfFormat(`${at}[${key}]`, problem, complain);
      return [key, String(format)];
    }),
  );
}

export function complainOfFormat(field: string, problem: string, complain: Complain): void {
  complain(field, problem, 'write commands as in %REQ(:PATH)%, and %% for a percent sign');
}

function readDefaultProviders(value: unknown, complain: Complain): MeshSettings['defaultProviders'] {
  const given = mapOf(value);
  const names = (field: string): readonly string[] => {
    const list = given[field] ?? [];
    if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list;
    complain(`defaultProviders.${field}`, 'is no list of names', 'write a list of names of extensionProviders');
    return [];
  };
  return { tracing: names('tracing'), accessLogging: names('accessLogging') };
}

function readTracing(value: Fields, defaults: MeshSettings['tracing'], complain: Complain): MeshSettings['tracing'] {
  const { custom_tags: older, customTags = older, sampling } = value;
  if (sampling !== undefined && (typeof sampling !== 'number' || sampling < 0 || sampling > 100)) {
    complain('defaultConfig.tracing.sampling', `${JSON.stringify(sampling)} is no percentage`, 'write 0 to 100');
    return defaults;
  }
  return {
    share: typeof sampling === 'number' ? sampling / 100 : defaults.share,
    tags: mapOf(customTags) as Readonly<Record<string, CustomTagSpec>>,
  };
}

/** The fields of something that should be a map; of anything else, none. */
function mapOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
