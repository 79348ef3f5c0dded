// SPDX-License-Identifier: Apache-2.0
// The node's CNI configuration with our plugin in its chain, and without: pure edits of the primary plugin's file.
import type { EnablementSelector } from '../enablement.ts';

export const PLUGIN_TYPE = 'istio-cni';

/** A file of the configuration folder. */
export interface ConfFile {
  readonly name: string;
  readonly text: string;
}

/** What the plugin finds in its part of the configuration. */
export interface PluginSettings {
  /** Folder of socket and kubeconfig, as the plugin, on the node, sees it. */
  readonly runDir: string;
  readonly ambient: boolean;
  readonly selectors: readonly EnablementSelector[];
  readonly excludedNamespaces: readonly string[];
  readonly agentNamespace: string;
}

type Json = Record<string, unknown>;
type Plugin = Json & { readonly type: string };

/** The file the kubelet's runtime uses: the lexically first valid `.conf` or `.conflist`. */
export function primaryFile(files: readonly ConfFile[]): ConfFile | undefined {
  return files
    .filter(({ name }) => name.endsWith('.conf') || name.endsWith('.conflist'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .find(({ text }) => pluginsOf(text) !== undefined);
}

/** The primary file with our plugin last in the chain; a single plugin becomes a list, and the file a `.conflist`. */
export function withPlugin({ name, text }: ConfFile, settings: PluginSettings): ConfFile {
  const conf = JSON.parse(text) as Json;
  const plugins = (pluginsOf(text) ?? []).filter(({ type }) => type !== PLUGIN_TYPE);
  const chain = [...plugins, entryOf(settings)];
  if (Array.isArray(conf['plugins'])) return { name, text: print({ ...conf, plugins: chain }) };
  const [{ cniVersion: _dropped, ...single }] = plugins as [Plugin];
  const list = { name: 'k8s-pod-network', cniVersion: '0.3.1', plugins: [single, entryOf(settings)] };
  return { name: name.replace(/\.conf$/, '.conflist'), text: print(list) };
}

/** The file without our plugin; undefined when it is not in it. */
export function withoutPlugin({ name, text }: ConfFile): ConfFile | undefined {
  if (!hasPlugin(text)) return undefined;
  const conf = JSON.parse(text) as Json;
  return { name, text: print({ ...conf, plugins: pluginsOf(text)!.filter(({ type }) => type !== PLUGIN_TYPE) }) };
}

/** Whether our plugin stands in the chain. */
export function hasPlugin(text: string): boolean {
  return pluginsOf(text)?.some(({ type }) => type === PLUGIN_TYPE) ?? false;
}

function entryOf({ runDir, ambient, selectors, excludedNamespaces, agentNamespace }: PluginSettings): Plugin {
  return {
    name: PLUGIN_TYPE,
    type: PLUGIN_TYPE,
    cni_agent_run_dir: runDir,
    ambient_enabled: ambient,
    enablement_selectors: selectors,
    exclude_namespaces: excludedNamespaces,
    pod_namespace: agentNamespace,
    ipam: {},
    dns: {},
  };
}

/** The chain of a configuration, undefined when a runtime would not take it. */
function pluginsOf(text: string): Plugin[] | undefined {
  let conf: unknown;
  try {
    conf = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof conf !== 'object' || conf === null) return undefined;
  const list: unknown = 'plugins' in conf ? conf.plugins : [conf];
  if (!Array.isArray(list) || list.length === 0) return undefined;
  return list.every((item) => typeof (item as Json | null)?.['type'] === 'string') ? (list as Plugin[]) : undefined;
}

function print(conf: Json): string {
  return `${JSON.stringify(conf, null, 2)}\n`;
}
