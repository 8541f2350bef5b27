-- From pandoc's reading of the notebook's prose to fragments that template.typ (or the HTML page) finishes.
--
-- Everything that came out of a cell is a numbered slot here: a fenced block whose class is the secret word of this
-- document. What the slot holds never passes through pandoc. WATTSHIFT_PROSE names a JSON file:
-- {slot: class of the fences, labels: {anchor: number}, images: {address: file}, shift: heading levels to take off}

local known = {}
do
  local path = os.getenv("WATTSHIFT_PROSE")
  local file = assert(io.open(path, "r"))
  known = pandoc.json.decode(file:read("a"), false)
  file:close()
end

local typst = FORMAT:match("typst") ~= nil
local headings = {} -- lower-cased anchor -> our label

-- A Typst string literal: the only way a text from the notebook enters Typst code.
local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\r", " "):gsub("\n", "\\n"):gsub("\t", " ") .. '"'
end

local function raw(text)
  return pandoc.RawInline(FORMAT, text)
end

local function written(blocks)
  return (pandoc.write(pandoc.Pandoc(blocks), { format = FORMAT, extensions = {} }, PANDOC_WRITER_OPTIONS):gsub("%s+$", ""))
end

-- "ltr" or "rtl" by the first strong character; nil where there is none.
local function direction(text)
  for _, code in utf8.codes(text, true) do
    if (code >= 0x590 and code <= 0x8FF) or (code >= 0xFB1D and code <= 0xFDFF) or (code >= 0xFE70 and code <= 0xFEFF) then
      return "rtl"
    elseif (code >= 0x41 and code <= 0x5A) or (code >= 0x61 and code <= 0x7A) or (code >= 0xC0 and code <= 0x58F) then
      return "ltr"
    end
  end
  return nil
end

-- First pass: labels behind a formula, `$$…$$ {#eq-name}`.
local function equation(el, label)
  if not typst then
    local number = math.floor(known.labels[label] or 0)
    local inner = pandoc.Span({ el, pandoc.Span({ pandoc.Str("(" .. number .. ")") }, { class = "eqno" }) })
    inner.classes = { "equation" }
    inner.identifier = label
    return inner
  end
  local body = written({ pandoc.Plain({ el }) })
  if not body:match("^%$.*%$$") then return pandoc.Code(el.text) end
  return raw("#formula(" .. quoted(el.text) .. ", label: " .. quoted(label) .. ", " .. body .. ");")
end

local function equation_labels(inlines)
  local out, i = pandoc.Inlines({}), 1
  while i <= #inlines do
    local here = inlines[i]
    local step = 1
    if here.t == "Math" and here.mathtype == "DisplayMath" then
      local j = i + 1
      while inlines[j] and (inlines[j].t == "Space" or inlines[j].t == "SoftBreak") do j = j + 1 end
      local label = inlines[j] and inlines[j].t == "Str" and inlines[j].text:match("^{#(eq%-[%w_-]+)}$")
      if label and known.labels[label] then
        here, step = equation(here, label), j - i + 1
      end
    end
    out:insert(here)
    i = i + step
  end
  return out
end

-- Second pass: single inlines.
local function formula(el)
  if not typst then return nil end
  local body = written({ pandoc.Plain({ el }) })
  if not body:match("^%$.*%$$") then return pandoc.Code(el.text) end -- TeX that pandoc cannot read is shown as typed
  return raw("#formula(" .. quoted(el.text) .. ", " .. body .. ");")
end

local function link(el)
  local anchor = el.target:match("^#(.*)$")
  if not anchor then
    if el.target:match("^https?://") or el.target:match("^mailto:") then return nil end
    return el.content -- a path of the author's disk, or an empty address: the words stay
  end
  local number = known.labels[anchor] and math.floor(known.labels[anchor])
  if number then
    local words = pandoc.utils.stringify(el.content)
    if words:match("^%S+ %d+$") then
      el.content = pandoc.Inlines({ pandoc.Str((words:gsub("%d+$", tostring(number)))) })
    end
    if not typst then return el end
    return raw("#link(label(" .. quoted(anchor) .. "))[" .. written({ pandoc.Plain(el.content) }) .. "];")
  end
  local target = headings[anchor:lower()]
  if not target then return el.content end
  if not typst then
    el.target = "#" .. target
    return el
  end
  return raw("#link(label(" .. quoted(target) .. "))[" .. written({ pandoc.Plain(el.content) }) .. "];")
end

local function image(el)
  local file = known.images[el.src]
  local words = pandoc.utils.stringify(el.caption)
  if not file then return pandoc.Emph(words == "" and { pandoc.Str("(picture)") } or el.caption) end
  if typst then return raw("#picture(" .. quoted(file) .. ", " .. quoted(words) .. ");") end
  el.src = file
  return el
end

-- Straight quotes become curly ones; dashes and dots stay as typed, since a sentence may quote data.
local function curly(el)
  local text = el.text:gsub("(%w)'(%w)", "%1’%2"):gsub("s'$", "s’")
  text = text:gsub('^([%(%[]?)"(.)', "%1“%2"):gsub('(.)"([%.,;:!%?%)%]]*)$', "%1”%2")
  if typst and #text <= 16 and text:match("^[%(%[]?%a+/%a[%a/]*[%.,;:%)%]]*$") then
    return raw("#box[" .. written({ pandoc.Plain({ pandoc.Str(text) }) }) .. "]") -- a unit such as J/TH stays on one line
  end
  if text ~= el.text then return pandoc.Str(text) end
end

local function html_inline(el)
  if el.format ~= "html" then return nil end
  if el.text:match("^<!%-%-") then return {} end
  if el.text:match("^<[bB][rR]%s*/?>$") then return pandoc.LineBreak() end
  return pandoc.Str(el.text)
end

local structural = { div = true, center = true, p = true, details = true, summary = true, section = true, a = true, br = true, hr = true, span = true }
local function html_block(el)
  if el.format ~= "html" then return nil end
  if el.text:match("^%s*<!%-%-") then return {} end
  local tag = el.text:match("^%s*</?(%a+)[^<]*>%s*$")
  if tag and structural[tag:lower()] then return {} end
  return pandoc.Para({ pandoc.Str(el.text) })
end

-- Third pass: blocks.
local aligns = { AlignRight = "right", AlignCenter = "center" }
local function table_(el)
  if not typst then return nil end
  local columns = {}
  for _, spec in ipairs(el.colspecs) do table.insert(columns, aligns[spec[1]] or "start") end
  local function cells(row)
    local out = {}
    for _, cell in ipairs(row.cells) do table.insert(out, "[" .. written(cell.contents) .. "]") end
    return "(" .. table.concat(out, ", ") .. ",)"
  end
  local head, body = "()", {}
  if #el.head.rows > 0 then head = cells(el.head.rows[1]) end
  for _, part in ipairs(el.bodies) do
    for _, row in ipairs(part.body) do table.insert(body, cells(row)) end
  end
  return pandoc.RawBlock("typst", "#prose-table((" .. table.concat(columns, ", ") .. ",), " .. head .. ", (" .. table.concat(body, ", ") .. ",), rtl: "
    .. tostring(direction(pandoc.utils.stringify(el)) == "rtl") .. ")")
end

local function aside(el)
  local kind = el.classes[1]
  local names = { note = 1, tip = 1, important = 1, warning = 1, caution = 1 }
  if not names[kind] then return nil end
  local body = pandoc.Blocks({})
  for _, block in ipairs(el.content) do
    if not (block.t == "Div" and block.classes[1] == "title") then body:insert(block) end
  end
  if typst then
    local out = pandoc.Blocks({ pandoc.RawBlock("typst", "#aside(" .. quoted(kind) .. ")[") })
    out:extend(body)
    out:insert(pandoc.RawBlock("typst", "]"))
    return out
  end
  el.content = body
  el.classes = { "aside", kind }
  return el
end

local last_level = 0
local counters = { 0, 0, 0, 0, 0, 0 }
local function heading(el)
  local level = math.max(1, math.floor(el.level - known.shift))
  level = math.min(level, last_level + 1) -- a reader of outlines cannot follow a skipped level
  last_level = level
  local first = el.content[1]
  if first and first.t == "Str" and first.text:match("^%d+[%.%d]*$") and #el.content > 2 and first.text:match("%.") then
    el.content:remove(1)
    el.content:remove(1) -- the number typed by hand: headings are numbered by the template
  end
  local target = headings[(el.identifier or ""):lower()]
  if typst then
    local body = written({ pandoc.Plain(el.content) })
    return pandoc.RawBlock("typst", "#heading(level: " .. level .. ")[" .. body .. "]" .. (target and ("#label(" .. quoted(target) .. ")") or ""))
  end
  counters[level] = counters[level] + 1
  for deeper = level + 1, 6 do counters[deeper] = 0 end
  local number = table.concat(counters, ".", 1, level)
  el.level = level + 1
  if target then el.identifier = target end
  el.content:insert(1, pandoc.Space())
  el.content:insert(1, pandoc.Span({ pandoc.Str(number) }, { class = "secno" }))
  return el
end

-- A slot is a fence that says "n" (something shown), or "n<" … "n>" around the words that belong to it (a caption).
local function slot(out, text)
  local number, mark = text:match("^(%-?%d+)([<>]?)$")
  if typst then
    if mark == ">" then
      out:insert(pandoc.RawBlock("typst", "]"))
    else
      out:insert(pandoc.RawBlock("typst", "#slot(" .. number .. ")" .. (mark == "<" and "[" or "")))
    end
  else
    out:insert(pandoc.RawBlock("html", "<!--" .. known.slot .. ":" .. number .. mark .. "-->"))
  end
end

local function finish(doc)
  local out, inside = pandoc.Blocks({}), false
  for _, block in ipairs(doc.blocks) do
    if block.t == "CodeBlock" and block.classes[1] == known.slot then
      slot(out, block.text)
      inside = block.text:match("<$") ~= nil
    elseif inside then
      out:insert(block) -- a caption's direction is its figure's
    else
      local rtl = block.t ~= "RawBlock" and block.t ~= "CodeBlock" and direction(pandoc.utils.stringify(block)) == "rtl"
      if block.t == "Header" then block = heading(block) end
      if rtl and typst then
        out:insert(pandoc.RawBlock("typst", "#right-to-left["))
        out:insert(block)
        out:insert(pandoc.RawBlock("typst", "]"))
      elseif rtl and block.t == "Header" then
        block.attr = pandoc.Attr(block.identifier, block.classes, { { "dir", "rtl" }, { "lang", "ar" } })
        out:insert(block)
      elseif rtl then
        out:insert(pandoc.Div({ block }, pandoc.Attr("", {}, { { "dir", "rtl" }, { "lang", "ar" } })))
      else
        out:insert(block)
      end
    end
  end
  doc.blocks = out
  return doc
end

local function anchors(doc)
  doc:walk({
    Header = function(el)
      if el.identifier and el.identifier ~= "" then headings[el.identifier:lower()] = "sec-" .. el.identifier end
    end,
  })
  return nil
end

return {
  { Pandoc = anchors },
  { Inlines = equation_labels },
  { Math = formula, Link = link, Image = image, Str = curly, RawInline = html_inline, RawBlock = html_block },
  { Table = table_, Div = aside },
  { Pandoc = finish },
}
