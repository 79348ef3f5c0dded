// SPDX-License-Identifier: Apache-2.0
// The version of this source tree; a test holds it and package.json together.

export const VERSION = '0.1.0';
