'use strict';

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { ditto, freshId, http, madeThing, rejected } = require('./node');

const { And, Eq, Exists, Ge, Gt, ILike, In, Le, Like, Lt, Ne, Not, Or } = ditto;
const client = http();
const search = client.getSearchHandle();
const run = freshId('run');
const ids = [];
const all = Eq('attributes/run', run);
const options = (filter = all) => ditto.DefaultSearchOptions.getInstance().withFilter(filter);
const found = async (filter) => (await search.search(options(And(all, filter)).withSort('+thingId').withFields('thingId')))
  .items.map((one) => ids.indexOf(one.thingId));

before(async () => {
  for (let n = 0; n < 5; n += 1) {
    const id = `${run}-${n}`;
    await madeThing(client, id, {
      attributes: { run, n, name: `Lamp ${n}`, ...(n === 0 ? { first: null } : {}) },
      features: { lamp: { properties: { on: n % 2 === 0 } }, [`f${n}`]: { properties: { battery: n * 10 } } },
    });
    ids.push(id);
  }
});

test('a change is found right after its answer', async () => {
  assert.equal(await search.count(options()), 5);
  assert.equal(await search.postCount(options()), 5);
});

test('every operator of the client finds what it says', async () => {
  const n = 'attributes/n';
  const cases = [
    [Eq(n, 2), [2]], [Ne(n, 2), [0, 1, 3, 4]], [Gt(n, 3), [4]], [Ge(n, 3), [3, 4]], [Lt(n, 1), [0]], [Le(n, 1), [0, 1]],
    [In(n, 1, 4, 9), [1, 4]], [Like('attributes/name', 'Lamp ?'), [0, 1, 2, 3, 4]], [ILike('attributes/name', 'lamp 3'), [3]],
    [Like('attributes/name', 'lamp*'), []], [Exists('attributes/first'), [0]], [Not(Gt(n, 0)), [0]],
    [Or(Eq(n, 0), Eq(n, 4)), [0, 4]], [And(Gt(n, 0), Eq('features/lamp/properties/on', true)), [2, 4]],
    [Gt('features/*/properties/battery', 20), [3, 4]], [Eq('thingId', `${run}-1`), [1]],
  ];
  for (const [filter, wanted] of cases) assert.deepEqual(await found(filter), wanted, filter.toString());
});

test('pages follow a cursor and end', async () => {
  const seen = [];
  let cursor;
  do {
    const page = options().withPageSize(2).withSort('-attributes/n').withFields('thingId');
    const answer = await search.search(cursor ? page.withCursor(cursor) : page);
    seen.push(...answer.items.map((one) => ids.indexOf(one.thingId)));
    cursor = answer.cursor;
  } while (cursor);
  assert.deepEqual(seen, [4, 3, 2, 1, 0]);
});

test('the form answers as the query does', async () => {
  const answer = await search.postSearch(options().withSort('+attributes/n').withFields('thingId', 'attributes/n'));
  assert.deepEqual(answer.items.map((one) => one.attributes.n), [0, 1, 2, 3, 4]);
});

test('the old paging by offset answers with the next offset', async () => {
  const answer = await search.search(options().withSort('+attributes/n').withLimit(0, 2));
  assert.equal(answer.items.length, 2);
  assert.equal(answer.nextPageOffset, 2);
});

test('namespaces narrow a search', async () => {
  assert.equal(await search.count(options().withNamespaces('org.littoral')), 5);
  assert.equal(await search.count(options().withNamespaces('org.nowhere')), 0);
});

test('what cannot be read is refused', async () => {
  const raw = ditto.DefaultSearchOptions.getInstance().withRawFilter('eq(attributes/a, 1)');
  assert.equal((await rejected(search.search(raw))).error, 'rql.expression.invalid');
  assert.equal((await rejected(search.search(options().withPageSize(1000)))).error, 'thing-search:search.option.invalid');
});
