// SPDX-License-Identifier: Apache-2.0
import { equal } from 'node:assert/strict';
import { test } from 'node:test';
import { channelOptions } from './client.ts';

const NAME = 'grpc.ssl_target_name_override';

test('a control plane dialled by address is greeted by its other name, one dialled by name by that', () => {
  equal(
    channelOptions({ target: '10.0.0.1:15012', alternativeName: 'istiod.istio-system.svc' })[NAME],
    'istiod.istio-system.svc',
  );
  equal(channelOptions({ target: '[fd00::1]:15012' })[NAME], 'control-plane');
  equal(NAME in channelOptions({ target: 'istiod.istio-system.svc:15012', alternativeName: 'other' }), false);
});
