/** Tells listeners of events. */
export class Emitter {
  listeners = {};

  on(name, listener) {
    this.listeners[name] ??= [];
    this.listeners[name].push(listener);
    return () => this.off(name, listener);
  }

  once(name, listener) {
    return this.on(name, (...values) => {
      listener(...values);
      this.off(name, listener);
    });
  }

  off(name, listener) {
    const all = this.listeners[name];
    all.splice(all.indexOf(listener), 1);
  }

  emit(name, ...values) {
    const all = this.listeners[name] ?? [];
    for (let i = 0; i < all.length; i++) all[i](...values);
    return all.length;
  }

  count(name) {
    return (this.listeners[name] ?? []).length;
  }

  names() {
    return Object.keys(this.listeners);
  }
}
