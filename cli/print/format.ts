// SPDX-License-Identifier: Apache-2.0
// `-o`: a table for people, JSON or YAML for programs.

import { Option } from 'commander';
import { stringify } from 'yaml';

export type Format = 'short' | 'json' | 'yaml';

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print').choices(['short', 'json', 'yaml']).default('short');
}

/** The value in the format wanted; `short` makes the text for people. */
export function formatValue(format: Format, value: unknown, short: () => string): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml':
      return stringify(value);
    case 'short':
      return short();
  }
}
