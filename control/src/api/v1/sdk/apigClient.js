// A client of one stage of an API, made by Turnpike. It works in browsers and in Node.js 18 and later, with fetch.
//
//     const client = apigClientFactory.newClient({ apiKey: '...' });
//     const answer = await client.petsIdGet({ id: '7' });
//
// In Node.js: const { apigClientFactory } = require('./apigClient.js');
(function (root, make) {
  'use strict';
  const made = make(root);
  if (typeof module === 'object' && module.exports) {
    module.exports = made;
  } else {
    root.apigClientFactory = made.apigClientFactory;
  }
})(typeof globalThis === 'object' ? globalThis : this, function (root) {
  'use strict';

  // What the API offers: one function for each of `operations`.
  const FACTS = __FACTS__;

  const UNRESERVED = /[!'()*]/g;
  const SIGNED_SERVICE = 'execute-api';

  // RFC 3986's unreserved characters stay; all others are escaped.
  function escape(text) {
    return encodeURIComponent(String(text)).replace(
      UNRESERVED,
      (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase()
    );
  }

  // The path with its variables filled in; a greedy one, {name+}, keeps its slashes.
  function fill(path, parameters) {
    return path.replace(/\{([^{}+]+)(\+?)\}/g, (_, name, greedy) => {
      const value = String(parameters[name]);
      return greedy ? value.split('/').map(escape).join('/') : escape(value);
    });
  }

  // Pairs in the order in which they were given; a list gives one pair for each of its items.
  function pairs(map) {
    const all = [];
    for (const [name, value] of Object.entries(map)) {
      if (value === undefined || value === null) continue;
      for (const item of Array.isArray(value) ? value : [value]) all.push([name, String(item)]);
    }
    return all;
  }

  function pick(names, parameters) {
    const picked = {};
    for (const name of names) {
      if (parameters[name] !== undefined) picked[name] = parameters[name];
    }
    return picked;
  }

  // The body as it is sent, and its content type unless that is the caller's to say.
  function encode(body) {
    if (body === undefined || body === null || body === '') return [undefined, undefined];
    if (typeof body === 'string') return [body, 'application/json'];
    const isBytes = body instanceof ArrayBuffer || ArrayBuffer.isView(body);
    const isStream = ['Blob', 'FormData', 'URLSearchParams'].some(
      (name) => typeof root[name] === 'function' && body instanceof root[name]
    );
    if (isBytes) return [body, 'application/octet-stream'];
    return isStream ? [body, undefined] : [JSON.stringify(body), 'application/json'];
  }

  function hex(bytes) {
    return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  // Node.js 18 has Web Cryptography, and not under its global name.
  function subtle() {
    const crypto = root.crypto || (typeof require === 'function' && require('node:crypto').webcrypto);
    if (!crypto || !crypto.subtle) throw new Error('Signing needs Web Cryptography: in browsers, serve the page by HTTPS');
    return crypto.subtle;
  }

  async function sha256(data) {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    return hex(await subtle().digest('SHA-256', bytes));
  }

  async function hmac(key, text) {
    const usable = await subtle().importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    return new Uint8Array(await subtle().sign('HMAC', usable, new TextEncoder().encode(text)));
  }

  // Signature Version 4 of AWS: the headers that it adds.
  async function sign(config, method, url, headers, body) {
    if (body !== undefined && typeof body !== 'string' && !(body instanceof ArrayBuffer || ArrayBuffer.isView(body))) {
      throw new Error('Only text, bytes and JSON can be signed as a body');
    }
    const stamp = config.now().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const signed = { ...headers, host: url.host, 'x-amz-date': stamp };
    if (config.sessionToken) signed['x-amz-security-token'] = config.sessionToken;
    const names = Object.keys(signed).sort();
    const canonicalHeaders = names.map((name) => name + ':' + signed[name].trim().replace(/ +/g, ' ') + '\n').join('');
    // The path as it is sent, escaped once more, as every service but S3 has it.
    const path = url.pathname.split('/').map(escape).join('/');
    const parts = url.search.slice(1).split('&').filter(Boolean).map((pair) => pair.split('='));
    const byNameThenValue = ([a, b], [c, d]) => (a === c ? (b < d ? -1 : 1) : a < c ? -1 : 1);
    const query = parts.sort(byNameThenValue).map((pair) => pair.join('=')).join('&');
    const hash = await sha256(body === undefined ? '' : body);
    const request = [method, path, query, canonicalHeaders, names.join(';'), hash].join('\n');
    const scope = [stamp.slice(0, 8), config.region, SIGNED_SERVICE, 'aws4_request'].join('/');
    const text = ['AWS4-HMAC-SHA256', stamp, scope, await sha256(request)].join('\n');
    let key = new TextEncoder().encode('AWS4' + config.secretKey);
    for (const part of scope.split('/')) key = await hmac(key, part);
    const added = { 'x-amz-date': stamp };
    if (config.sessionToken) added['x-amz-security-token'] = config.sessionToken;
    added.authorization =
      `AWS4-HMAC-SHA256 Credential=${config.accessKey}/${scope}, ` +
      `SignedHeaders=${names.join(';')}, Signature=${hex(await hmac(key, text))}`;
    return added;
  }

  // The answer's body by its content type: JSON is read, other text is text, everything else is bytes.
  async function decode(response) {
    const type = (response.headers.get('content-type') || '').split(';')[0].trim().toLowerCase();
    if (type === 'application/json' || type.endsWith('+json')) {
      const text = await response.text();
      try {
        return text === '' ? '' : JSON.parse(text);
      } catch {
        return text;
      }
    }
    const isText = type === '' || type.startsWith('text/') || type === 'application/xml' || type.endsWith('+xml');
    return isText ? response.text() : new Uint8Array(await response.arrayBuffer());
  }

  async function call(config, name, parameters = {}, body = undefined, additional = {}) {
    const operation = FACTS.operations[name];
    const given = parameters || {};
    for (const needed of operation.pathParameters) {
      if (given[needed] === undefined || given[needed] === null || given[needed] === '') {
        throw new TypeError(`${name} needs the path parameter '${needed}'`);
      }
    }
    const known = [...operation.pathParameters, ...operation.queryParameters, ...operation.headers];
    const unknown = Object.keys(given).find((parameter) => !known.includes(parameter));
    if (unknown !== undefined) {
      throw new TypeError(`${name} has no parameter '${unknown}': give it in additionalParams.queryParams or .headers`);
    }
    const more = additional || {};
    const query = pairs({ ...pick(operation.queryParameters, given), ...(more.queryParams || {}) });
    const search = query.map(([n, value]) => escape(n) + '=' + escape(value)).join('&');
    const url = new URL(config.endpoint + fill(operation.path, given) + (search && '?' + search));
    const [sent, type] = encode(body);
    const headers = {};
    for (const [n, value] of pairs({ ...pick(operation.headers, given), ...(more.headers || {}) })) {
      const lower = n.toLowerCase();
      headers[lower] = headers[lower] === undefined ? value : headers[lower] + ',' + value;
    }
    if (type && headers['content-type'] === undefined) headers['content-type'] = config.defaultContentType || type;
    if (headers.accept === undefined) headers.accept = config.defaultAcceptType;
    if (config.apiKey) headers['x-api-key'] = config.apiKey;
    if (config.accessKey) Object.assign(headers, await sign(config, operation.method, url, headers, sent));
    const response = await config.fetch(url, { method: operation.method, headers, body: sent, signal: more.signal });
    const result = {
      status: response.status,
      statusText: response.statusText,
      headers: Object.fromEntries(response.headers),
      data: operation.method === 'HEAD' ? '' : await decode(response),
      config: { method: operation.method, url: url.href },
    };
    if (response.ok) return result;
    throw Object.assign(new Error(`${name}: status ${response.status}`), { response: result, status: result.status });
  }

  // endpoint: another address of the same stage, such as a custom domain.
  // apiKey: sent as x-api-key. accessKey, secretKey, sessionToken, region: requests are signed with them.
  function newClient(options = {}) {
    const config = {
      region: FACTS.region,
      defaultAcceptType: 'application/json',
      fetch: (...request) => root.fetch(...request),
      now: () => new Date(),
      ...options,
    };
    config.endpoint = (config.endpoint || FACTS.endpoint).replace(/\/+$/, '');
    if (Boolean(config.accessKey) !== Boolean(config.secretKey)) {
      throw new TypeError('accessKey and secretKey go together');
    }
    const client = {};
    for (const name of Object.keys(FACTS.operations)) {
      client[name] = (params, body, additionalParams) => call(config, name, params, body, additionalParams);
    }
    return client;
  }

  return { apigClientFactory: { newClient } };
});
