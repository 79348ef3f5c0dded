// SPDX-License-Identifier: Apache-2.0
// The mesh's settings, from the key `mesh` of a config map: MeshConfig's YAML, of which we read what reaches ambient.
// A bad text changes nothing: what was last good stays, and the problems are told.

import { parse } from 'yaml';
import { fail, ok, type Problem, type Result } from '#lib/kit/result.ts';
import type { ConfigMap } from '#lib/kube/object.ts';
import type { MeshSettings } from '#lib/model/mesh-settings.ts';
import { readExtensionProviders } from './extension-providers.ts';
import { readObservability } from './observability.ts';
import { SettingsReader } from './settings-reader.ts';

const KEY = 'mesh';

/** Reads the config map; an absent one, or an absent key, means the defaults. */
export function readMeshConfig(map: ConfigMap | undefined, defaults: MeshSettings): Result<MeshSettings> {
  const text = map?.data?.[KEY];
  if (text === undefined) return ok(defaults);
  const object = `ConfigMap ${map?.metadata.namespace}/${map?.metadata.name}`;
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    return fail({ object, field: `data.${KEY}`, message: `not readable as YAML: ${String(cause)}` });
  }
  if (value === null || value === undefined) return ok(defaults);
  if (typeof value !== 'object' || Array.isArray(value)) {
    return fail({
      object,
      field: `data.${KEY}`,
      message: 'is no map of settings',
      fix: 'write for example "trustDomain: cluster.local"',
    });
  }
  const problems: Problem[] = [];
  const settings = value as Record<string, unknown>;
  const nameOf = (name: string, fallback: string): string => {
    const found = settings[name];
    if (found === undefined || found === null || found === '') return fallback;
    if (typeof found === 'string' && /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(found)) return found;
    problems.push({
      object,
      field: `data.${KEY}: ${name}`,
      message: `${JSON.stringify(found)} is no name`,
      fix: `write for example ${fallback}`,
    });
    return fallback;
  };
  const aliases = settings['trustDomainAliases'] ?? [];
  if (!Array.isArray(aliases) || aliases.some((alias) => typeof alias !== 'string')) {
    problems.push({ object, field: `data.${KEY}: trustDomainAliases`, message: 'is no list of names' });
  }
  const reader = new SettingsReader(object, `data.${KEY}`, problems);
  const complain = (field: string, message: string, fix: string): void => {
    problems.push({ object, field: `data.${KEY}: ${field}`, message, fix });
  };
  const result: MeshSettings = {
    ...defaults,
    discoverySelectors: reader.selectors('discoverySelectors', settings['discoverySelectors'] ?? []),
    visibility: reader.visibility(settings['serviceEntryVisibility']) ?? defaults.visibility,
    serviceScopes: reader.scopes(settings['serviceScopeConfigs']) ?? defaults.serviceScopes,
    trustDomain: nameOf('trustDomain', defaults.trustDomain),
    rootNamespace: nameOf('rootNamespace', defaults.rootNamespace),
    pathNormalisation: reader.pathNormalisation(settings['pathNormalization']) ?? defaults.pathNormalisation,
    extensionProviders: readExtensionProviders(settings['extensionProviders'], complain),
    ...readObservability(settings, defaults, complain),
    trustDomainAliases: Array.isArray(aliases) ? aliases.map(String) : [],
  };
  const [first, ...rest] = problems;
  return first === undefined ? ok(result) : fail(first, ...rest);
}
