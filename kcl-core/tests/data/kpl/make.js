// Aggregates as npm's aws-kinesis-agg makes them, with what went in.
const { RecordAggregator } = require("aws-kinesis-agg");

const cases = {
  "one record": [["key", null, "hello"]],
  "shared keys": Array.from({ length: 200 }, (_, n) => [n % 2 ? "a" : "b", null, `record ${n}`]),
  "explicit hash keys": Array.from({ length: 20 }, (_, n) => [`k${n % 3}`, (BigInt(n) << 120n).toString(), "x".repeat(n + 1)]),
  "not ascii": [["schüssel 鍵", null, "wärme 🔥"]],
  "more than 127 keys": Array.from({ length: 300 }, (_, n) => [`key-${n}`, null, `${n}`]),
};

const out = [];
for (const [name, users] of Object.entries(cases)) {
  const aggregator = new RecordAggregator();
  for (const [partitionKey, explicitHashKey, data] of users) {
    const record = { partitionKey, data: Buffer.from(data) };
    if (explicitHashKey !== null) record.explicitHashKey = explicitHashKey;
    aggregator.addUserRecord(record);
  }
  const encoded = aggregator.build();
  const base64 = (data) => Buffer.from(data).toString("base64");
  out.push({ name, data: base64(encoded.data ?? encoded.Data), users: users.map(([k, h, d]) => [k, h, base64(d)]) });
}
console.log(JSON.stringify(out));
