// SPDX-License-Identifier: Apache-2.0
// Labels of a series. One without a value is `unknown`, as readers of Istio's metrics expect it.
export type Labels = Readonly<Record<string, string>>;

export const UNKNOWN = 'unknown';

export const orUnknown = (value: string | undefined): string => (value === undefined || value === '' ? UNKNOWN : value);
