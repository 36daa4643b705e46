// The little of a browser that the page's program calls, so that it can run in node: elements are
// plain objects, canvases have a pen that draws nowhere. For finding errors, not for looks.
class SmallNode {
  constructor(tag) { Object.assign(this, { tag, attributes: new Map(), childNodes: [], style: {}, dataset: {}, listeners: {}, hidden: false, text: null, parent: null }); }
  static text(value) { const node = new SmallNode("#text"); node.text = String(value); return node; }
  append(...nodes) {
    for (const one of nodes) {
      const node = one instanceof SmallNode ? one : SmallNode.text(one);
      node.parent = this;
      this.childNodes.push(node);
    }
  }
  replaceChildren(...nodes) { this.childNodes = []; this.append(...nodes); }
  remove() { if (this.parent) this.parent.childNodes = this.parent.childNodes.filter(node => node !== this); }
  setAttribute(name, value) {
    this.attributes.set(name, String(value));
    if (name.startsWith("data-")) this.dataset[name.slice(5)] = String(value);
    if (name === "value") this.value = String(value);
  }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  hasAttribute(name) { return this.attributes.has(name); }
  toggleAttribute(name, on) { on ? this.attributes.set(name, "") : this.attributes.delete(name); if (name === "hidden" || name === "disabled") this[name] = on; }
  addEventListener(name, listener) { (this.listeners[name] ??= []).push(listener); }
  dispatch(name, event = {}) { for (const listener of this.listeners[name] || []) listener({ target: this, preventDefault() {}, ...event }); }
  focus() {}
  get firstChild() { return this.childNodes[0] || null; }
  get textContent() { return this.text ?? this.childNodes.map(node => node.textContent).join(""); }
  set textContent(value) { this.replaceChildren(value); }
  get clientWidth() { return 1200; }
  get clientHeight() { return 600; }
  get offsetWidth() { return 200; }
  get offsetHeight() { return 60; }
  getBoundingClientRect() { return { left: 0, top: 0, width: 1200, height: 600 }; }
  getContext() { return PEN; }
  all() { return [this, ...this.childNodes.flatMap(node => node.all())]; }
  querySelectorAll(selector) {
    const found = selector.match(/^(?:([a-z]+)|\[([a-z-]+)(?:=([^\]]+))?\](?::not\(:disabled\))?)$/);
    return this.all().filter(node => found[1] ? node.tag === found[1]
      : node.hasAttribute(found[2]) && (!found[3] || node.getAttribute(found[2]) === found[3]));
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] || null; }
}
const PEN = new Proxy({ measureText: text => ({ width: 6 * text.length }) }, {
  get: (pen, name) => name in pen ? pen[name] : () => undefined,
  set: () => true,
});

/** Return a document with the page's ids, as the HTML of the page has them. */
function smallDocument(ids, data) {
  const root = new SmallNode("html");
  root.append(...ids.map(id => { const node = new SmallNode("div"); node.setAttribute("id", id); return node; }));
  const find = id => root.all().find(node => node.getAttribute("id") === id) || null;
  find("vtool-data").append(data);
  const media = { addEventListener() {} };
  return {
    document: {
      documentElement: root, body: root, title: "", getElementById: find,
      createElement: tag => new SmallNode(tag), createElementNS: (_, tag) => new SmallNode(tag),
    },
    window: { devicePixelRatio: 1 }, matchMedia: () => media, addEventListener() {},
    getComputedStyle: () => ({ fontFamily: "sans", getPropertyValue: () => "#123456" }),
    ResizeObserver: class { observe() {} },
  };
}
