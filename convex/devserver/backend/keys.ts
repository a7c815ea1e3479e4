/**
 * Keys: what a query looked for, and what a document is found by. One that matches a document is
 * among its keys; the other way round a key may stand for more documents than match.
 */
import { jsonToConvex, type JSONValue, type Value } from "convex/values";
import { tableOf, type Document, type Source, type Tables } from "./internals";

/** The first field of each index, by table. A field inside another is none: its index is a scan. */
export type IndexedFields = Map<string, string[]>;

export function indexedFields(tables: Tables): IndexedFields {
  const firstFields = (table: { indexes: { fields: string[] }[] }) =>
    table.indexes.flatMap(({ fields }) => fields.slice(0, 1)).filter((name) => !name.includes("."));
  return new Map(
    [...(tables._schema?.tables ?? [])].map(([name, table]) => [
      name,
      [...new Set(firstFields(table))],
    ]),
  );
}

/** Every key that this document is found by, but for its id. */
export function keysOf(document: Document, fields: IndexedFields): string[] {
  const table = tableOf(document._id);
  const indexed = (fields.get(table) ?? []).map((name) => fieldKey(table, name, document[name]));
  return [tableKey(table), ...indexed.filter((key) => key !== null)];
}

/** Every document of the table. */
export function tableKey(table: string): string {
  return table;
}

/** The documents that this source can give: where it can, those with one value of a field. */
export function sourceKey(source: Source, table: string, fields: IndexedFields): string {
  const [first] = source.type === "IndexRange" ? (source.range ?? []) : [];
  if (first?.type !== "Eq" || !fields.get(table)?.includes(first.fieldPath)) return tableKey(table);
  return fieldKey(table, first.fieldPath, boundOf(first.value)) ?? tableKey(table);
}

/** Arrays and objects have no key. Of numbers, only some that are no index's everyday values share one. */
function fieldKey(table: string, field: string, value: Value | undefined): string | null {
  if (typeof value === "object" && value !== null) return null;
  return `${table}.${field} ${typeof value} ${value}`;
}

/** In a range, a field that is absent is written as `{"$undefined": null}`. */
function boundOf(json: JSONValue): Value | undefined {
  const isAbsent = typeof json === "object" && json !== null && "$undefined" in json;
  return isAbsent ? undefined : jsonToConvex(json);
}
