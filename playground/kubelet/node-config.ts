// SPDX-License-Identifier: Apache-2.0
// What a node's program is told when its machine boots: one JSON file, written by the playground.
import { readFileSync } from 'node:fs';
import type { ImageEntry } from './images.ts';

export interface NodeConfig {
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly podCidrs: readonly string[];
  /** Beside those that every node has. */
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly serviceCidrs: readonly string[];
  readonly domain: string;
  readonly dnsServiceIps: readonly string[];
  readonly kubeconfig: string;
  /** How pods reach the API server: the `kubernetes` Service. */
  readonly apiService: { readonly host: string; readonly port: string };
  /** What the `kubernetes` Service leads to, when its own endpoints cannot be reached from here. */
  readonly apiEndpoint?: string;
  /** This node's control group, absent where groups cannot be written. */
  readonly nodeGroup?: string;
  readonly images: readonly ImageEntry[];
  readonly visible: readonly string[];
  readonly nodeBinDir: string;
  /** Variables of every container, and those of containers that do not run as root. */
  readonly programEnv: Readonly<Record<string, string>>;
  readonly userEnv: Readonly<Record<string, string>>;
  readonly mayChangeUser: boolean;
  readonly userxattr: boolean;
  readonly logLevel: string;
}

/** Reads the file; its writer is this project, so only its presence is in doubt. */
export function readNodeConfig(file: string): NodeConfig {
  return JSON.parse(readFileSync(file, 'utf8')) as NodeConfig;
}
