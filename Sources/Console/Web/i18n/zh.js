// 简体中文

export default {
  common: {
    loading: "加载中…", cancel: "取消", close: "关闭", save: "保存", done: "完成", back: "返回", copy: "复制", copied: "已复制",
    copyFailed: "浏览器不允许在此复制", reload: "重新加载", clearFilter: "清除筛选",
    nothingMatches: "没有匹配项", nothingMatchesText: "修改或清除筛选条件即可看到更多内容。",
    pageFailed: "无法加载此页面", pageFailedText: "服务器可能已更新，或网络中断。请重新加载再试。",
    unknownError: "出现错误，服务器没有说明原因。",
  },
  nav: {
    label: "导航", overview: "总览", devices: "设备", trends: "趋势", rules: "规则", alarms: "报警", mqtt: "MQTT", settings: "设置",
    setup: "初始设置", login: "登录", more: "更多", unknown: "未找到", collapse: "收起", expand: "展开", skip: "跳到正文",
  },
  missing: { title: "页面不存在", text: "链接可能已失效，或输入有误。" },
  theme: { label: "主题", auto: "自动", light: "浅色", dark: "深色" },
  connection: {
    off: "未连接", connecting: "连接中…", open: "实时", lost: "正在重连…",
    lostText: "连接于{since}中断，当前画面已冻结；恢复后会自动更新。", retry: "立即重试",
    unreachable: "无法连接服务器", unreachableText: "Tundish 是否在运行？此页面每两秒自动重试一次。",
  },
  search: {
    label: "搜索", placeholder: "搜索设备、点位、规则、页面…", nothing: "没有找到",
    kind: { page: "页面", device: "设备", rule: "规则", tag: "点位" },
  },
  login: {
    title: "登录", text: "查看并操控这台网关。", username: "用户名", password: "密码", submit: "登录",
    signOut: "退出登录", signOutUser: "退出登录 {user}",
  },
  setup: {
    title: "创建管理员", text: "此链接只能使用一次。请设置控制台的第一个用户。", username: "用户名", password: "密码",
    repeat: "再次输入密码", submit: "创建并登录", nameMissing: "请输入用户名。", tooShort: "密码至少需要 {n} 个字符。",
    different: "两次输入的密码不一致。", doneTitle: "已完成设置", doneText: "管理员已存在，请用该账号登录。",
    linkTitle: "请打开一次性链接", linkText: "Tundish 没有默认密码。首次启动时会打印一个用于创建管理员的链接。",
    linkHint: "请在启动服务器的终端中查找：http://…/#/setup?token=…",
  },
  state: {
    running: "运行中", connected: "已连接", ok: "正常", pending: "启动中", connecting: "连接中", stopped: "已停止", degraded: "降级", failed: "失败",
    disconnected: "已断开", warn: "需要关注", error: "失败",
  },
  kind: { Device: "设备", Rule: "规则", Sink: "数据出口", Listener: "监听器", Secret: "密钥", User: "用户" },
  quality: { good: "良好" },
  value: { true: "真", false: "假" },
  units: { s: "秒", min: "分钟", h: "小时", d: "天" },
  time: { now: "刚刚" },
  flow: {
    label: "数据流向：设备、总线、规则、历史库、MQTT 客户端", devices: "设备", bus: "总线", rules: "规则", historian: "历史库", mqtt: "MQTT 客户端",
    unit: { tags: "点/秒", messages: "消息/秒", points: "点/秒" }, dropped: "已丢弃 {n}", state: { ok: "正常", warn: "需要关注", error: "有故障" },
  },
  overview: {
    figures: "关键数据", devices: "已连接设备", allConnected: "全部已连接", away: "{n} 台未连接",
    tags: "点位", allGood: "全部良好", badTags: "{n} 个异常", points: "已存数据点", bytesPerPoint: "每点 {n} 字节",
    memory: "内存", cpu: "单核占用 {n}%", uptime: "运行时间", since: "自 {at}",
    fact: { devices: "已连接 {connected}/{total}", bus: "{n} 条保留消息", rules: "运行 {running}/{total}", historian: "磁盘占用 {size}", mqtt: "{n} 个客户端，{subscriptions} 个订阅" },
    problems: "需要处理", well: "一切正常", wellText: "所有设备都有应答，所有规则都在运行，没有数据被丢弃。",
    next: "接下来", nextDevices: "查看实时值，写入设定值", nextTrends: "绘制趋势曲线", nextListen: "在终端中监听报警", nextStatus: "用命令行做同样的事",
  },
  hints: {
    device: "请检查设备是否上电、网络是否可达；Tundish 会持续自动重试。",
    rule: "打开规则查看语句及出错位置。",
    modbus: "请对照设备手册检查地址和数据类型。",
    historian: "请检查数据目录的剩余空间和权限。",
    listener: "端口可能被其他程序占用；请修改 bind 或停止该程序。",
    journal: "请检查数据目录的剩余空间和权限。",
  },
  devices: {
    name: "设备", state: "状态", driver: "驱动", endpoint: "地址", groups: "分组", tags: "点位", message: "起始时间 / 原因", filter: "筛选设备", all: "全部", abnormal: "异常",
    emptyTitle: "还没有设备", emptyText: "一台设备只需几行 YAML：驱动、地址和要读取的点位。应用文件后，设备就会出现在这里。",
  },
  device: {
    tab: { tags: "点位", diagnostics: "诊断", history: "历史版本", yaml: "YAML" }, tags: "点位", tag: "点位", value: "值", quality: "质量", time: "更新时间", type: "类型", address: "地址",
    unit: "单位", group: "分组", access: "访问", accessOf: { read: "只读", write: "读写" }, write: "写入", filter: "筛选点位", onlyAbnormal: "仅看异常", allGroups: "全部分组",
    tagCount: "{n} 个点位", loadingTags: "已加载 {n}/{total} 个点位…", noTags: "此设备没有点位", noTagsText: "请在设备资源的分组中添加点位。",
    allGood: "所有点位均良好", allGoodText: "没有异常需要显示。", lastMinutes: "最近 10 分钟", openTrend: "趋势", samples: "显示点数", yaml: "设备资源", roundTrip: "往返 {time}",
  },
  write: {
    title: "写入 {tag}", current: "当前值", fresh: "新值", value: "新值", limits: "类型范围", review: "核对…", confirm: "立即写入", busy: "正在写入…", again: "换一个值",
    question: "确定把此值写入 {device} 的 {tag} 吗？", caution: "此操作会改变正在运行的设备。设备确认后写入才算完成。",
    confirmed: "设备已确认", confirmedText: "用时 {time}", written: "已写入", refused: "写入未成功", unchanged: "没有任何改变。",
    chooseOne: "请选择其中之一。", empty: "请输入值。", notNumber: "这不是数字。", notWhole: "此类型只能是整数。", outOfRange: "此类型的范围是 {low} 到 {high}。", tooLarge: "该值超出类型范围。",
  },
  interval: {
    title: "{group} 的采集周期", text: "该分组每 {interval} 采集一次。修改立即生效，无需重启。", label: "采集周期", hint: "数字加单位：100ms、5s、1m。",
    invalid: "这不是有效的时长。请输入数字加单位：100ms、5s、1m。", saved: "{group} 现在每 {interval} 采集一次", conflict: "此设备已被其他人修改",
    conflictText: "没有保存任何内容。请加载最新版本，核对后再保存。", reload: "加载最新版本",
  },
  diagnostics: {
    connection: "连接", since: "当前状态起始于", lastErrorAt: "最近错误", roundTrip: "往返时间", last: "最近", mean: "平均", max: "最大", counters: "计数器", groups: "分组",
    interval: "周期", bad: "异常", cycles: "采集次数", skipped: "跳过", skippedTotal: "跳过 {n} 次采集", requestsPerCycle: "每周期请求数", cycleTime: "采集用时", lastCycle: "最近采集", topic: "主题",
  },
  counter: {
    requests: "请求", responses: "应答", timeouts: "超时", errors: "错误", bytesSent: "已发送", bytesReceived: "已接收", reconnects: "重连", writes: "写入", dropped: "丢弃", refused: "拒绝",
    mismatches: "不匹配", exceptions: "异常应答", cycles: "采集次数", skipped: "跳过的采集", connects: "连接次数", writesRefused: "被拒写入", lateAnswers: "迟到的应答",
  },
  history: {
    title: "版本", revision: "版本 {revision}", present: "当前", by: "{author}，来自 {source}", rollback: "回滚", question: "回滚到版本 {revision}？",
    questionText: "{name} 将恢复为 {at} 时的内容。这会生成一个新版本，不会丢失任何内容。", done: "已回滚到版本 {revision}", more: "另有 {n} 处修改",
    action: { create: "创建", update: "修改", delete: "删除", rollback: "回滚" },
  },
  trends: {
    range: "时间范围", ranges: { "5m": "5 分钟", "15m": "15 分钟", "1h": "1 小时", "8h": "8 小时", "24h": "24 小时", "7d": "7 天" }, live: "实时", add: "添加点位", pick: "选择点位", search: "搜索点位", pickHint: "已选 {n} 条，最多 {most} 条。文本不能绘图。",
    emptyTitle: "还没有曲线", emptyText: "选择点位，查看它们在几分钟到几个月内的变化，以及每个时刻的最低和最高值。", pens: "曲线", pen: "点位", atCursor: "光标处", latest: "最新值", low: "最低", mean: "平均", high: "最高",
    remove: "移除", hide: "隐藏此曲线", show: "显示此曲线", zoomOut: "缩小", noData: "这段时间没有记录", latestAt: "最新值：{at}", chartLabel: "趋势图。方向键平移时间，加减号缩放。",
  },
  rules: {
    name: "规则", filter: "筛选规则", perSecond: "每秒", matched: "匹配", passed: "通过", failed: "失败", emitted: "输出", outputs: "输出目标", metrics: "指标",
    emptyTitle: "还没有规则", emptyText: "规则是一条针对主题的 SQL 语句：筛选、计算、报警，并发布或记录结果。",
  },
  alarms: {
    name: "报警", severity: "级别", message: "内容", device: "设备", raised: "触发时间", filter: "筛选报警", active: "{n} 个活动报警", none: "无活动报警",
    emptyTitle: "没有报警", emptyText: "带报警输出的规则，以及 alarms/# 上的消息，会即时显示在这里。", messages: "alarms/# 上的消息", waiting: "正在等待下一条消息。在终端中也可以：",
    severities: { critical: "紧急", high: "高", medium: "中", low: "低", info: "信息", urgent: "紧急", warning: "警告", error: "错误" },
    states: {
      unack_active: "未确认", ack_active: "已确认", rtn_unack: "已恢复，未确认", event: "事件",
      unacknowledged: "未确认", acknowledged: "已确认", returnedUnacknowledged: "已恢复，未确认", normal: "正常", active: "活动", cleared: "已清除", raised: "已触发", returned: "已恢复",
      latched: "已锁存", shelved: "已搁置", suppressed: "已抑制", outOfService: "停用", returnToNormalUnacknowledged: "已恢复，未确认", unack: "未确认", acked: "已确认", rtnun: "已恢复，未确认", norm: "正常",
    },
  },
  mqtt: {
    tab: { clients: "客户端", subscriptions: "订阅", retained: "保留消息" }, client: "客户端", user: "用户", protocol: "协议", peer: "地址", since: "连接时间", keepAlive: "保活", subscriptions: "订阅", received: "接收", sent: "发送",
    queued: "排队", filter: "主题过滤器", topic: "主题", payload: "内容", size: "大小", search: "筛选", emptyText: "连接一个客户端即可在此看到：",
    empty: { clients: "没有客户端连接", subscriptions: "没有订阅", retained: "没有保留消息" },
  },
  settings: {
    appearance: "外观", language: "语言", tokens: "API 令牌", tokensText: "程序可以用令牌以您的身份调用 REST API。令牌只显示一次。", tokenName: "用途", create: "创建", tokenOnce: "令牌“{name}”——请立即复制，之后不再显示",
    noTokens: "还没有令牌。", createdAt: "{at}创建", usedAt: "{at}使用", revoke: "吊销", revokeTitle: "吊销“{name}”？", revokeText: "使用它的程序会立即被拒绝。", revoked: "令牌“{name}”已吊销",
    about: "关于", node: "节点", started: "启动时间", user: "当前用户", metrics: "Prometheus 指标", licences: "Tundish 采用 Apache-2.0 许可证。控制台使用 Vue（MIT）、ECharts（Apache-2.0）和 CodeMirror（MIT）。",
  },
  qualities: {
    good: "良好", uncertain: "不确定", "uncertain.last_usable": "最近可用值", "uncertain.sensor_not_accurate": "传感器不准确", "uncertain.limits_exceeded": "超出限值", "uncertain.sub_normal": "良好来源不足",
    bad: "坏值", internal_error: "内部错误", "device.communication": "通信失败", "device.encoding": "无法编码", "device.decoding": "无法解码", "device.timeout": "应答超时", "device.unreachable": "无法连接",
    "device.waiting": "等待首个值", "tag.address_invalid": "地址无效", "tag.address_unknown": "地址不存在", "tag.not_readable": "不可读", "tag.not_writable": "不可写", "value.out_of_range": "超出范围",
    "device.not_supported": "不支持", "value.type_mismatch": "类型不符", "value.not_a_number": "非数值", "device.configuration": "配置错误", "device.not_connected": "未连接", "device.failure": "设备故障",
    "device.sensor_failure": "传感器故障", "device.out_of_service": "设备停用", "device.busy": "设备忙", "modbus.illegal_function": "非法功能码", "modbus.illegal_data_address": "非法数据地址", "modbus.illegal_data_value": "非法数据值",
    "modbus.device_failure": "设备故障", "modbus.acknowledge": "处理中", "modbus.device_busy": "设备忙", "modbus.memory_parity": "存储奇偶校验错误", "modbus.gateway_path": "网关路径不可用", "modbus.gateway_target": "网关目标无应答",
  },
  problems: {
    "console.timeout": "服务器未及时应答。", "console.unreachable": "无法连接服务器，网络恢复后会自动重试。", "console.http_status": "服务器返回 HTTP 状态 {status}。", "console.no_answer": "设备的应答中没有此点位。",
    "login.failed": "用户名或密码错误。", "login.throttled": "失败次数过多，请在 {seconds} 秒后重试。", "setup.token": "链接已失效。服务器启动时打印了新的链接。", "setup.done": "管理员已存在，请登录。",
    "request.unauthenticated": "请先登录。", "request.csrf": "请求缺少 X-Tundish-Request 标头。", "request.origin": "不允许来自 {origin} 的页面使用此控制台。", "request.missing": "缺少“{name}”。", "request.value": "“{name}”是 {seen}：必须是 {allowed}。",
    "request.too_long": "“{name}”最多 {allowed} 字节。", "request.precondition_required": "{kind}“{name}”已存在：修改时必须注明所读的版本。",
    "resource.conflict": "已被其他人修改。请加载最新版本后再试。", "device.unknown": "没有名为“{name}”的设备。", "rule.unknown": "没有名为“{name}”的规则。", "tag.unknown": "没有点位“{name}”。",
    "device.timeout": "设备未在规定时间内应答。", "device.unreachable": "无法连接设备{device}（{endpoint}）。", "device.not_connected": "设备未连接。", "device.busy": "设备忙。", "device.connection_lost": "与设备的连接已断开。",
    "tag.not_writable": "此点位不可写。", "value.out_of_range": "值超出范围。", "value.type_mismatch": "值的类型不符。", "write.type": "{value} 不是 {type} 类型。", "write.range": "{value} 超出 {type} 的范围。",
    "modbus.illegal_function": "设备拒绝：非法功能码。", "modbus.illegal_data_address": "设备拒绝：非法数据地址。", "modbus.illegal_data_value": "设备拒绝：非法数据值。", "modbus.device_failure": "设备报告内部故障。", "modbus.device_busy": "设备忙，请稍后再试。",
    "rule.sql": "SQL 第 {line} 行第 {column} 列：{reason}", "rule.sink": "规则“{rule}”：没有名为“{sink}”的数据出口。", "query.tags": "请选择 {allowed} 个点位。", "historian.missing": "历史库尚未启用。", "broker.stopped": "MQTT 服务未运行。",
  },
};
