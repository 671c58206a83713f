package symbol

const native = amd64
