// SPDX-License-Identifier: Apache-2.0
// The sample shop, one program for all its services: main.ts web|catalog|price|ledger|shopper; recipes in several
// versions: main.ts recipes VERSION; and many requests at once: main.ts burst URL COUNT [name:value…].
// Where the others are comes from the environment, with the names of manifests/samples/shop.yaml as defaults.
import { burst } from './burst.ts';
import { serveCatalog } from './catalog.ts';
import { serveLedger } from './ledger.ts';
import { servePrice } from './price.ts';
import { serveRecipes } from './recipes.ts';
import { shop } from './shopper.ts';
import { serveWeb } from './web.ts';

const [role = '', ...rest] = process.argv.slice(2);
const env = (name: string, fallback: string): string => process.env[name] ?? fallback;
const places = {
  web: env('WEB', 'web:8080'),
  catalog: env('CATALOG', 'catalog:8080'),
  price: env('PRICE', 'price:9000'),
  ledger: env('LEDGER', 'ledger:7000'),
};

switch (role) {
  case 'web':
    serveWeb(8080, places);
    break;
  case 'catalog':
    serveCatalog(8080);
    break;
  case 'price':
    servePrice(9000);
    break;
  case 'ledger':
    serveLedger(7000);
    break;
  case 'shopper':
    shop(8081, places);
    break;
  case 'recipes':
    serveRecipes(8080, rest[0] ?? 'v1');
    break;
  case 'burst': {
    const [url = '', count = '1', ...headers] = rest;
    const pairs = headers.map((text) => text.split(/:(.*)/s, 2));
    console.log(JSON.stringify(await burst(url, Number(count), Object.fromEntries(pairs))));
    break;
  }
  default:
    console.error(
      `unknown role ${JSON.stringify([role, ...rest].join(' '))}: web, catalog, price, ledger, shopper, recipes or burst`,
    );
    process.exitCode = 2;
}
// Process 1 of a container has no default action for SIGTERM.
process.on('SIGTERM', () => process.exit(0));
