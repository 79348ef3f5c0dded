// SPDX-License-Identifier: Apache-2.0
// Where telemetry settings name a variable of the proxy's environment, its value takes its place, in main: data-plane processes are
// not told of the environment.
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { Provider, WaypointSettings } from '#lib/mesh/http/waypoint.ts';

/** Reads a variable. */
export type Environment = (name: string) => string | undefined;

const COMMAND = /%ENVIRONMENT\(([^()%]*)\)(?::(\d+))?%/g;

export function withTags(telemetry: Telemetry, env: Environment): Telemetry {
  const { tracing } = telemetry;
  if (tracing === undefined || tracing.tags.every(({ kind }) => kind !== 'environment')) return telemetry;
  const tags = tracing.tags.map((tag) =>
    tag.kind === 'environment' ? { ...tag, kind: 'literal' as const, value: env(tag.value) ?? tag.defaultValue } : tag,
  );
  return { ...telemetry, tracing: { ...tracing, tags } };
}

export function withFormats(settings: WaypointSettings, env: Environment): WaypointSettings {
  return { ...settings, providers: settings.providers.map((provider) => withFormat(provider, env)) };
}

function withFormat(provider: Provider, env: Environment): Provider {
  const filled = (format: string): string =>
    format.replace(COMMAND, (_all, name: string, length: string | undefined) => {
      const value = env(name) || '-';
      return (length === undefined ? value : value.slice(0, Number(length))).replaceAll('%', '%%');
    });
  const fields = Object.entries(provider.jsonFields).map(([key, format]) => [key, filled(format)]);
  return { ...provider, format: filled(provider.format), jsonFields: Object.fromEntries(fields) };
}
