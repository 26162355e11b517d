"""The demo in headless Chromium: sign in, live values, write, interval, trends, languages; no error in the browser."""

import json
import re
import subprocess

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import Tundish, eventually

NAME, PASSWORD = "nightshift", "correct horse battery staple"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    node = Tundish(tmp_path_factory.mktemp("demo"), verb=("demo",)).start()
    eventually(lambda: node.get("/api/v1/status")["devices"]["connected"] >= 5, 60, "the plant's devices connected")
    yield node
    node.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1440,900",
                     f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


def find(browser, test, seconds=20):
    return eventually(lambda: next(iter(browser.find_elements(By.CSS_SELECTOR, f'[data-test="{test}"]')), None), seconds, test)


def click(browser, test):
    def attempt():
        try:
            find(browser, test).click()
            return True
        except Exception as error:  # noqa: BLE001 - a re-rendered element is found again
            if "stale" in str(error) or "intercepted" in str(error) or "interactable" in str(error):
                return False
            raise
    eventually(attempt, what=f"a click on {test}")


def fill(browser, test, text):
    element = find(browser, test)
    element.send_keys(Keys.CONTROL, "a")
    element.send_keys(text)


def cell(browser, tag):
    def text():
        try:
            return next((e.text for e in browser.find_elements(By.CSS_SELECTOR, f'[data-tag="{tag}"]')), None)
        except Exception:  # noqa: BLE001 - the table was rendered anew while we looked
            return None
    return eventually(text, what=f"a value of {tag}")


def severe(browser):
    ignored = ("401 (Unauthorized)", "favicon")
    return [entry for entry in browser.get_log("browser")
            if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in ignored)]


def test_01_the_first_start_leads_to_an_administrator(demo, browser):
    link = re.search(r"(http://\S*setup\?token=\S+)", demo.log_text()).group(1)
    browser.get(link)
    fill(browser, "setup-username", NAME)
    fill(browser, "setup-password", PASSWORD)
    fill(browser, "setup-repeat", PASSWORD)
    click(browser, "setup-submit")
    find(browser, "flow")


def test_02_the_overview_shows_the_datas_way_with_its_rates(demo, browser):
    def rate():
        return float(find(browser, "flow-devices").get_attribute("data-rate") or 0)
    assert eventually(lambda: rate() > 0, what="a rate of the devices")
    for station in ("devices", "bus", "rules", "historian", "mqtt"):
        find(browser, f"flow-{station}")
    assert severe(browser) == []


def test_03_live_values_change(demo, browser):
    browser.get(demo.url + "/#/devices/boiler-1")
    tag = next(f"boiler-1/{item['group']}/{item['tag']}" for item in demo.get("/api/v1/tags?device=boiler-1")["items"]
               if item["type"].startswith("float") and item["access"] == "read")
    first = cell(browser, tag)
    eventually(lambda: cell(browser, tag) != first, 30, "a live value that changes")
    assert severe(browser) == []


def test_04_a_setpoint_written_from_the_console_changes_the_plant(demo, browser):
    items = demo.get("/api/v1/tags?device=boiler-1")["items"]
    group = next(item["group"] for item in items if item["tag"] == "setpoint")
    old = next(item["value"] for item in items if item["tag"] == "setpoint")
    target = 70 if old != 70 else 75
    browser.get(demo.url + "/#/devices/boiler-1")
    click(browser, f"write-{group}/setpoint")
    fill(browser, "write-input", str(target))
    click(browser, "write-review")
    click(browser, "write-confirm")
    assert find(browser, "write-result").get_attribute("data-result") == "ok"
    click(browser, "write-done")
    eventually(lambda: demo.tags("boiler-1")["setpoint"]["value"] == target, what="the device's own setpoint")
    before = demo.tags("boiler-1")["temperature"]["value"]
    eventually(lambda: abs(demo.tags("boiler-1")["temperature"]["value"] - target) < abs(before - target), 60,
               "the boiler moving towards its new setpoint")


def test_05_a_changed_interval_takes_effect_without_a_restart(demo, browser):
    device = demo.get("/api/v1/devices/boiler-1")
    group = device["spec"]["groups"][0]["name"]
    browser.get(demo.url + "/#/devices/boiler-1")
    click(browser, f"edit-interval-{group}")
    fill(browser, "interval-input", "2s")
    click(browser, "interval-save")
    eventually(lambda: next(g for g in demo.get("/api/v1/devices/boiler-1/diagnostics")["groups"] if g["name"] == group)
               ["intervalMilliseconds"] == 2000)
    assert demo.get("/api/v1/devices/boiler-1")["author"] == NAME


def test_06_trends_draw_history(demo, browser):
    browser.get(demo.url + "/#/trends")
    click(browser, "add-pens")
    fill(browser, "pen-filter", "boiler-1")
    find(browser, "pen-picker")
    pick = eventually(lambda: [e for e in browser.find_elements(By.CSS_SELECTOR, '[data-test^="pick-"]') if e.is_displayed()])
    pick[0].click()
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    eventually(lambda: int(find(browser, "chart").get_attribute("data-points") or 0) > 5, 30, "points in the chart")
    assert severe(browser) == []


def test_07_the_language_switches(demo, browser):
    browser.get(demo.url + "/#/")
    find(browser, "flow")
    seen = {}
    for _ in range(2):
        switch = find(browser, "language-switch")
        seen[switch.get_attribute("data-language")] = browser.find_element(By.TAG_NAME, "body").text
        click(browser, "language-switch")
        eventually(lambda: find(browser, "language-switch").get_attribute("data-language") not in (None, *list(seen)[-1:]))
    assert set(seen) == {"en", "zh"}
    assert re.search("[\u4e00-\u9fff]", seen["zh"]) and seen["en"] != seen["zh"]


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("page", ["", "devices", "devices/boiler-1", "trends", "rules", "alarms", "mqtt", "settings"])
def test_08_every_page_fits_and_logs_no_error(demo, browser, page, size):
    browser.set_window_size(*size)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500})
    browser.get(demo.url + "/#/" + page)
    eventually(lambda: browser.execute_script("return document.querySelector('main') !== null"), what="the page")
    eventually(lambda: browser.execute_script("return document.body.innerText.length") > 50, what="text on the page")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0], "the page overflows sideways"
    assert severe(browser) == []


def test_09_a_rule_of_the_demo_raises_a_message_for_mosquitto_sub(demo):
    done = subprocess.run(["mosquitto_sub", "-p", str(demo.mqtt_port), "-t", "alarms/#", "-C", "1", "-W", "120"],
                          capture_output=True, text=True, timeout=150)
    assert json.loads(done.stdout.splitlines()[0])
