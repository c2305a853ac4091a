"use strict";
// Draws /openapi.json. Texts are set as text, never as markup.

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function typeOf(schema) {
  if (!schema) return "anything";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") {
    if (schema.prefixItems) return "[" + schema.prefixItems.map(typeOf).join(", ") + "]";
    return "list of " + typeOf(schema.items);
  }
  if (schema.type === "object" && schema.additionalProperties) {
    return "object of " + typeOf(schema.additionalProperties);
  }
  return schema.format ? schema.type + " (" + schema.format + ")" : schema.type || "anything";
}

function table(caption, heads, rows) {
  const box = element("div", undefined, "table");
  const made = element("table");
  made.append(element("caption", caption, "quiet"));
  const head = element("tr");
  for (const text of heads) {
    const cell = element("th", text);
    cell.scope = "col";
    head.append(cell);
  }
  made.append(head);
  for (const row of rows) {
    const line = element("tr");
    row.forEach((text, column) => {
      const cell = element("td");
      cell.append(column < 2 ? element("code", text) : document.createTextNode(text));
      line.append(cell);
    });
    made.append(line);
  }
  box.append(made);
  return box;
}

function operation(path, method, described) {
  const section = element("section");
  const heading = element("h2");
  heading.append(element("code", method.toUpperCase(), "method"), element("code", path));
  section.append(heading, element("p", described.summary || ""));
  if (described.description) section.append(element("p", described.description, "quiet"));
  if (described.security) section.append(element("p", "Needs the token, if the service was started with one.", "quiet"));
  if (described.parameters) {
    section.append(table("Parameters", ["name", "type", "meaning"], described.parameters.map(
      (one) => [one.name, typeOf(one.schema), one.description || one.schema.description || ""])));
  }
  if (described.requestBody) {
    section.append(table("Body", ["type", "content", "meaning"],
      Object.entries(described.requestBody.content).map(
        ([type, one]) => [type, typeOf(one.schema), described.requestBody.description || ""])));
  }
  section.append(table("Answers", ["status", "content", "meaning"],
    Object.entries(described.responses).map(([status, one]) => {
      const content = one.content && one.content["application/json"];
      return [status, content ? typeOf(content.schema) : "", one.description || ""];
    })));
  return section;
}

function schema(name, described) {
  const section = element("section");
  const heading = element("h2");
  heading.append(element("code", name));
  section.append(heading, element("p", described.description || "", "quiet"));
  section.append(table("Members", ["name", "type", "meaning"],
    Object.entries(described.properties || {}).map(
      ([member, one]) => [member, typeOf(one), one.description || ""])));
  return section;
}

async function draw() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error("openapi.json: status " + answer.status);
  const api = await answer.json();
  document.getElementById("title").textContent = api.info.title + " " + api.info.version;
  document.getElementById("description").textContent = api.info.description || "";
  const main = document.getElementById("operations");
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, one] of Object.entries(methods)) main.append(operation(path, method, one));
  }
  for (const [name, one] of Object.entries((api.components || {}).schemas || {})) {
    main.append(schema(name, one));
  }
}

draw().catch((error) => {
  document.getElementById("description").textContent = "The endpoints cannot be shown: " + error.message;
});
