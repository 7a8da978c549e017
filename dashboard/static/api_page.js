// The API, as its own description has it: /api/openapi.json.

import { get } from "./api.js";
import { h, table } from "./dom.js";

const main = document.getElementById("main");

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) { const made = schema.$ref.split("/").at(-1); return h("a", { href: `#${made}` }, made); }
  if (schema.anyOf) return schema.anyOf.map((one, place) => [place ? " or " : "", typeOf(one)]);
  if (schema.type === "array") return ["list of ", typeOf(schema.items ?? schema.prefixItems?.[0])];
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return String(schema.const);
  return [schema.type, schema.format].filter(Boolean).join(" ");
}

function operation(path, method, made) {
  const answer = made.responses?.["200"]?.content ?? {};
  const body = made.requestBody?.content?.["application/json"]?.schema;
  const parameters = (made.parameters ?? []).map((row) => [h("code", {}, row.name), row.in, typeOf(row.schema), row.description ?? ""]);
  return h("article", {}, h("h2", {}, h("code", {}, `${method.toUpperCase()} ${path}`)), h("p", {}, made.description ?? made.summary ?? ""),
    parameters.length ? table(["parameter", "in", "type", "what"], parameters, `Parameters of ${path}`) : null,
    body ? h("p", {}, "body: ", typeOf(body)) : null,
    h("p", {}, "answers: ", Object.entries(answer).map(([kind, row]) => [`${kind} `, typeOf(row.schema)])));
}

function schema(key, made) {
  const rows = Object.entries(made.properties ?? {}).map(([field, row]) => [h("code", {}, field), typeOf(row), row.description ?? ""]);
  return h("article", { id: key }, h("h3", {}, key), h("p", {}, made.description ?? ""), made.enum ? h("p", {}, made.enum.join(" | ")) : null,
    rows.length ? table(["field", "type", "what"], rows, `Fields of ${key}`) : null);
}

try {
  const made = await get("openapi.json");
  main.replaceChildren(h("h1", {}, "API"), h("p", {}, made.info.description), h("p", {}, h("a", { href: "api/openapi.json" }, "openapi.json"), " has all of this for programs."),
    Object.entries(made.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, row]) => operation(path, method, row)))
      .reduce((all, one) => (all.append(one), all), document.createDocumentFragment()),
    h("h2", {}, "Types"), ...Object.entries(made.components.schemas).map(([key, row]) => schema(key, row)));
} catch (error) {
  main.replaceChildren(h("p", { class: "empty" }, error.message), h("a", { href: "index.html" }, "Log in on the page first, if it asks for a token."));
}
