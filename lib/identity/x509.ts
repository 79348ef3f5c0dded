// SPDX-License-Identifier: Apache-2.0
// The one door to @peculiar/x509: its dependency tsyringe wants a reflection polyfill loaded before it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export { x509 };
