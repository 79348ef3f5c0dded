// SPDX-License-Identifier: Apache-2.0
// What settings are read from: flags and the environment, with words for those that cannot be read.
import { type ConfigReader, parseDuration } from '#lib/kit/config.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export type Flags = Readonly<Record<string, string>>;

/** What was given to the program. What is wrong with it is collected in `env`. */
export class Given {
  readonly env: ConfigReader;
  readonly flags: Flags;

  constructor(flags: Flags, env: ConfigReader) {
    this.flags = flags;
    this.env = env;
  }

  /** Of a flag. */
  address(flag: string, fallback: string): HostPort {
    const text = this.flags[flag] ?? fallback;
    const found = parseAddress(text);
    if (found === undefined)
      this.env.problem(`--${flag}`, `${JSON.stringify(text)} is no address`, `write for example ${fallback}`);
    return found ?? { host: '', port: 0 };
  }

  /** Of a flag, ms. */
  duration(flag: string, fallbackMs: number): number {
    const text = this.flags[flag];
    if (text === undefined) return fallbackMs;
    const found = parseDuration(text);
    if (found === undefined)
      this.env.problem(`--${flag}`, `${JSON.stringify(text)} is no duration`, 'write for example 30m');
    return found ?? fallbackMs;
  }
}

/** `:8080`, `127.0.0.1:8080` or `[::1]:8080`; no host means every address. */
export function parseAddress(text: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] === undefined || match[2] === '' ? '::' : match[2]), port };
}
