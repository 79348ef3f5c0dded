// SPDX-License-Identifier: Apache-2.0
// The mesh's settings that are more than a name: which namespaces to look at, who sees a ServiceEntry, which Services
// are one with those of other clusters, how paths are read. Problems are gathered; a list with one is not used at all.

import type { Problem } from '#lib/kit/result.ts';
import { table } from '#lib/kit/table.ts';
import { textOf } from '#lib/kit/text-of.ts';
import type { PathNormalisation } from '#lib/mesh/http/waypoint.ts';
import type { ServiceScope, VisibilityRule } from '#lib/model/mesh-settings.ts';
import { type LabelSelector, parseLabelSelector } from '#lib/model/object/label-selector.ts';

const VISIBILITIES = table<VisibilityRule['visibility']>({
  '': 'public',
  UNSPECIFIED: 'public',
  VISIBILITY_UNSPECIFIED: 'public',
  PUBLIC: 'public',
  NAMESPACE: 'namespace',
  NONE: 'none',
});

const NORMALISATIONS = table<PathNormalisation>({
  DEFAULT: 'base',
  BASE: 'base',
  NONE: 'none',
  MERGE_SLASHES: 'merge-slashes',
  DECODE_AND_MERGE_SLASHES: 'decode-and-merge-slashes',
});

const EVERY: LabelSelector = { matchLabels: {}, matchExpressions: [] };

export class SettingsReader {
  readonly #object: string;
  readonly #at: string;
  readonly #problems: Problem[];

  /** @param at field of `object` that the settings stand in */
  constructor(object: string, at: string, problems: Problem[]) {
    this.#object = object;
    this.#at = at;
    this.#problems = problems;
  }

  selectors(name: string, value: unknown): LabelSelector[] {
    return this.#list(name, value).flatMap((one, i) => this.#selector(`${name}[${i}]`, one) ?? []);
  }

  /** `serviceEntryVisibility`: policies in order, then the default. */
  visibility(value: unknown): VisibilityRule[] | undefined {
    if (value === undefined || value === null) return undefined;
    const name = 'serviceEntryVisibility';
    const { defaultVisibility, policies } = asMap(value);
    const rules = this.#list(`${name}.policies`, policies ?? []).flatMap((policy, i): VisibilityRule[] => {
      const at = `${name}.policies[${i}]`;
      const { rules: terms, visibility } = asMap(policy);
      const namespaces = this.#list(`${at}.rules`, terms ?? []).flatMap(
        (term, t) => this.#selector(`${at}.rules[${t}].namespaceSelector`, asMap(term)['namespaceSelector']) ?? [],
      );
      const seenBy = this.#visible(`${at}.visibility`, visibility);
      return seenBy === undefined ? [] : [{ namespaces, visibility: seenBy }];
    });
    const otherwise = this.#visible(`${name}.defaultVisibility`, defaultVisibility) ?? 'public';
    return [...rules, { namespaces: [], visibility: otherwise }];
  }

  /** `serviceScopeConfigs`. */
  scopes(value: unknown): ServiceScope[] | undefined {
    if (value === undefined || value === null) return undefined;
    const name = 'serviceScopeConfigs';
    return this.#list(name, value).flatMap((one, i): ServiceScope[] => {
      const at = `${name}[${i}]`;
      const { namespaceSelector, scope, servicesSelector } = asMap(one);
      const namespaces = namespaceSelector === undefined ? EVERY : this.#selector(at, namespaceSelector);
      const services = servicesSelector === undefined ? EVERY : this.#selector(at, servicesSelector);
      if (scope !== 'GLOBAL' && scope !== 'LOCAL') {
        this.#problem(`${at}.scope`, `${JSON.stringify(scope)} is no scope`, 'write GLOBAL or LOCAL');
        return [];
      }
      return namespaces === undefined || services === undefined
        ? []
        : [{ namespaces, services, global: scope === 'GLOBAL' }];
    });
  }

  /** `pathNormalization`. */
  pathNormalisation(value: unknown): PathNormalisation | undefined {
    if (value === undefined || value === null) return undefined;
    const { normalization = 'DEFAULT' } = asMap(value);
    const how = NORMALISATIONS[textOf(normalization)];
    if (how === undefined) {
      const written = JSON.stringify(normalization);
      const fix = `write ${Object.keys(NORMALISATIONS).join(', ')}`;
      this.#problem('pathNormalization.normalization', `${written} is no normalisation`, fix);
    }
    return how;
  }

  #visible(field: string, value: unknown): VisibilityRule['visibility'] | undefined {
    const word = VISIBILITIES[textOf(value ?? '')];
    if (word === undefined) {
      this.#problem(field, `${JSON.stringify(value)} is no visibility`, 'write PUBLIC, NAMESPACE or NONE');
    }
    return word;
  }

  #selector(field: string, value: unknown): LabelSelector | undefined {
    const parsed = parseLabelSelector(value, field);
    if (!parsed.ok) {
      for (const { fix, message } of parsed.problems) this.#problem(field, message, fix);
      return undefined;
    }
    const { matchExpressions, matchLabels } = parsed.value;
    if (matchExpressions.length > 0 || Object.keys(matchLabels).length > 0) return parsed.value;
    this.#problem(field, 'a selector is empty', 'leave it out to select everything');
    return undefined;
  }

  #list(field: string, value: unknown): readonly unknown[] {
    if (Array.isArray(value)) return value as readonly unknown[];
    this.#problem(field, 'is no list');
    return [];
  }

  #problem(field: string, message: string, fix?: string): void {
    this.#problems.push({
      object: this.#object,
      field: `${this.#at}: ${field}`,
      message,
      ...(fix !== undefined && { fix }),
    });
  }
}

/** The fields of something that should be a map; of anything else, none. */
function asMap(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
